"""A file appears whole or not at all: written beside its place, synced, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".tmp"
"""What the name of an unfinished file ends with; whoever holds the folder's lock may delete such files."""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then make it `path`; a kill at any moment leaves old or new.

    Raises OSError (a full disk, a missing right), and then removes the temporary file.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        write(temporary)
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_whole` of one UTF-8 text."""
    write_whole(path, lambda temporary: _put(temporary, text))


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
