"""`undo`: a refined log becomes the log again that it was made of, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import RunError
from .output_check import is_output, run_folder
from .source_copy import read_undo, sha256, unpack


@dataclass(frozen=True, slots=True)
class Undone:
    """Where the log was restored, and the SHA-256 of its bytes, which is that of the log that was read."""

    path: str
    sha256: str


def undo(refined: Path | str, to: Path | str | None = None, *, force: bool = False) -> Undone:
    """Put the log that `refined` was made of in its place, or at `to`, from the copy in its run folder.

    The source itself is not needed. The run folder stays: the same `refine` makes the refined log again, and asks
    nothing. Raises RunError where no such folder is, where its copy is damaged, where `to` exists, and where `refined`
    is not what `refine` wrote (it was edited since); `force` overwrites both.
    """
    refined = Path(refined)
    folder = run_folder(refined)
    note = read_undo(folder)
    place = Path(to) if to is not None else refined
    if to is not None and place.exists() and not force:
        raise RunError(f"{place} exists already; choose another place, or --force to overwrite it")
    if to is None and not force and refined.exists():
        if sha256(refined) == note.sha256:
            return Undone(str(refined), note.sha256)
        if not is_output(refined, note):
            raise RunError(f"{refined} was changed after it was written; give --to a new file, or --force to lose that")
    return Undone(str(place), unpack(folder, note, place))
