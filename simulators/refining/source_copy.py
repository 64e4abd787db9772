"""What `undo` needs of a refinement: a packed copy of the log's bytes, and digests that tell which files are meant.

run/source-<digest>.zst   the log, byte for byte; one file for each content that was refined here, never replaced
run/source.json           which log is refined here, from the first moment on
run/undo.json             the refined log that was written, and the log it was made of
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ...atomic import disk_errors, write_text, write_whole
from ...errors import DataError, RunError

SOURCE, UNDO = "source.json", "undo.json"
UNNAMED_COPY = "source.zst"
"""Where earlier versions kept the only copy."""
_CHUNK = 1 << 22
Note = TypeVar("Note")


@dataclass(frozen=True, slots=True)
class SourceCopy:
    """A log as it was read. source: its resolved path; sha256: of its bytes; copy: the packed file's name."""

    source: str
    sha256: str
    copy: str


@dataclass(frozen=True, slots=True)
class UndoNote:
    """What a finished refinement made of which log. `previous_sha256`: of the refined log that it replaced, if any."""

    source: str
    sha256: str
    copy: str
    refined: str
    refined_sha256: str
    previous_sha256: str = ""


def copy_source(source: Path, folder: Path) -> SourceCopy:
    """Pack the bytes of `source` into the run folder, unless they are there, and note whose they are.

    Raises RunError where the disk refuses the copy.
    """
    digest = sha256(source)
    copy = SourceCopy(str(source.resolve()), digest, f"source-{digest[:16]}.zst")
    with disk_errors(folder / copy.copy):
        if not (folder / copy.copy).is_file():
            write_whole(folder / copy.copy, lambda path: _pack(source, path, digest))
        write_text(folder / SOURCE, json.dumps(asdict(copy), indent=2) + "\n")
    return copy


def check_unchanged(source: Path, copy: SourceCopy) -> None:
    """Raise DataError where the log is no longer what was copied: it may have been read half old, half new."""
    if sha256(source) != copy.sha256:
        raise DataError(f"{source} changed while it was read; wait until nothing writes to it, or refine a copy of it")


def change_since(source: Path, copy: SourceCopy, size: int) -> str:
    """What has become of the log since it was copied at `size` bytes, in a sentence; empty where nothing has."""
    if not source.is_file():
        return f"{source} is gone; `recloop undo` restores it"
    if sha256(source) == copy.sha256:
        return ""
    grown = source.stat().st_size - size
    how = f"has grown by {grown:,} bytes" if grown > 0 else "has changed"
    return f"{source} {how} since it was read; the refined log is of what was read. Refine again to take the rest in"


def note_undo(folder: Path, copy: SourceCopy, out: Path, refined: Path) -> None:
    """Note that `refined`, about to become `out`, was made of the copied log.

    Written before the rename: whichever of the two files a kill leaves at `out`, it is known as this refinement's.
    """
    previous = sha256(out) if out.is_file() else ""
    note = UndoNote(**asdict(copy), refined=out.name, refined_sha256=sha256(refined), previous_sha256=previous)
    write_text(folder / UNDO, json.dumps(asdict(note), indent=2) + "\n")


def read_undo(folder: Path) -> UndoNote:
    """What `note_undo` wrote. RunError where nothing was noted, or the note is damaged."""
    note = _read(folder / UNDO, UndoNote)
    if note is None:
        raise RunError(f"{folder} keeps no log: it is no folder of a finished `recloop refine`; run it again")
    return note


def read_source(folder: Path) -> SourceCopy | None:
    """Which log is refined in `folder`, finished or not; None where that is not noted."""
    return _read(folder / SOURCE, SourceCopy)


def unpack(folder: Path, note: UndoNote, place: Path) -> str:
    """Write the copied log to `place`, whole or not at all; gives its SHA-256.

    Raises RunError where the copy is missing or damaged, and where the disk refuses.
    """

    def write(temporary: Path) -> None:
        digest = hashlib.sha256()
        with temporary.open("wb") as file:
            for piece in _unpacked(folder / note.copy, note.source):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != note.sha256:
            raise _damaged(folder / note.copy, note.source, "its bytes are others than were kept")

    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, write)
    return note.sha256


def sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(copy: Path, source: str) -> Any:
    try:
        with pa.CompressedInputStream(pa.OSFile(str(copy)), "zstd") as packed:
            while piece := packed.read(_CHUNK):
                yield piece
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(copy, source, str(error)) from error


def _damaged(copy: Path, source: str, why: str) -> RunError:
    return RunError(f"{copy} is missing or damaged ({why}); the log itself, if it is still there, is {source}")


def _pack(source: Path, place: Path, expected: str) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as file, pa.CompressedOutputStream(pa.OSFile(str(place), "wb"), "zstd") as packed:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            packed.write(piece)
    if digest.hexdigest() != expected:
        raise DataError(f"{source} changed while it was read; wait until nothing writes to it, or refine a copy of it")


def _read(path: Path, make: Callable[..., Note]) -> Note | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return make(**{"copy": UNNAMED_COPY, **values})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or refine the log again into a new file") from error
