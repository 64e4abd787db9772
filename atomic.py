"""Files appear whole or not at all, and a file of the user's is replaced only on request.

`write_whole` and `write_text` write recloop's own files. `check_output` and `write_output` are for files that the user
named: they refuse an existing one without `overwrite`, and tell what the disk refuses in one line.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConfigError, RunError

TEMPORARY = ".tmp"
"""What the name of an unfinished file ends with; whoever holds the folder's lock may delete such files."""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`; a kill leaves the old or the new file.

    Raises OSError (a full disk, a missing permission), and then removes the temporary file.
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


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse, before any work, to write the file `path`: it exists, is a folder, or stands below a file.

    `overwrite` allows an existing file. Raises ConfigError.
    """
    path = path.resolve()  # of `new/../old.csv` it is old.csv that would be replaced
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already; choose another name, or replace it with --overwrite")
    check_parents(path)


def check_parents(path: Path) -> None:
    """Refuse a path below a file, or below a folder in which nothing can be written. Raises ConfigError."""
    above = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise ConfigError(f"{path}: {above} is a file, not a folder; choose another place")
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: nothing can be written in {above} (read-only, or not permitted)")


def write_output(path: Path, write: Callable[[Path], None], *, overwrite: bool = False) -> None:
    """Let `write` fill the user's file `path`, whole or not at all; missing folders above it are made.

    `write` is given a temporary path, whose suffix is not that of `path`. Raises ConfigError for an existing file
    without `overwrite`, RunError for what the disk refuses.
    """
    check_output(path, overwrite=overwrite)
    with disk_errors(path):
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)


def make_folder(path: Path) -> None:
    """The folder `path`, made with those above it. Raises ConfigError or RunError where it cannot be."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; name a folder, or a place for a new one")
    check_parents(path)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def disk_errors(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Turn OSError, and the types in `others`, into a RunError: `path` cannot be written, why, and a remedy."""
    refusals: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except refusals as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path} cannot be written: {reason}; {_remedy(error)}, and run it again") from error


_REMEDIES = {
    ("ENOSPC", "EDQUOT"): "free space on the disk or choose another",
    ("EFBIG",): "raise the limit of file sizes (`ulimit -f`) or choose another disk",
    ("EROFS", "EACCES", "EPERM"): "choose a folder in which you may write",
    ("ENOENT", "ENOTDIR", "ELOOP"): "choose a place whose folders exist or can be made",
    ("EISDIR", "EEXIST", "ENOTEMPTY"): "choose another name or move away what is there",
    ("ENAMETOOLONG", "EINVAL", "EILSEQ"): "choose another, shorter name",
    ("EMFILE", "ENFILE"): "raise the limit of open files (`ulimit -n`)",
    ("EIO", "ENXIO", "ENODEV", "ESTALE"): "check the disk or choose another",
    ("EBUSY", "ETXTBSY"): "end the program that uses it",
}
"""What the caller can do about an error number, by the numbers' names."""


def _remedy(error: Exception) -> str:
    """What the caller can do about an error of writing a file."""
    name = errno.errorcode.get(getattr(error, "errno", None) or 0, "")
    return next(
        (remedy for names, remedy in _REMEDIES.items() if name in names), "choose another disk or folder for it"
    )


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
