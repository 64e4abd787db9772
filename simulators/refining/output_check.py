"""May the refined log be written there? Only what this very refinement has made is replaced unasked."""

from __future__ import annotations

from pathlib import Path

from ...atomic import check_parents
from ...errors import ConfigError, RunError
from ...recsys.data.log_file import LogFile
from .source_copy import UNDO, UndoNote, read_source, read_undo, sha256

MARKS = ("refine.json", "refine.lock", UNDO)
"""Files of which a run folder of `refine` holds at least one."""


def run_folder(out: Path) -> Path:
    """The run folder beside the refined log `out`."""
    return out.with_name(f"{out.name}.run")


def check_form(log: LogFile, source: Path, out: Path) -> None:
    """Refuse a name whose ending is not the log's, an archive, and the log itself, by whatever path."""
    ends = "".join(source.suffixes[-2:]) if source.suffix == ".gz" else source.suffix
    if not out.name.endswith(ends):
        raise ConfigError(f"{out}: a refined log has the form of the log read; name it {out.stem}{ends}")
    if out.resolve() == source.resolve() or (out.exists() and out.samefile(source)):
        raise RunError(f"{out} is the log itself; write the refined one beside it")
    if run_folder(out).resolve() in source.resolve().parents:
        raise RunError(f"{source} lies in {run_folder(out)}, which the refinement writes; move it out of there")
    if log.file.member is not None:
        raise ConfigError(f"{source} is an archive; unpack it first")


def check_replaceable(source: Path, out: Path, *, overwrite: bool) -> None:
    """Refuse to replace `out`, or to work in its run folder, where they are not of the refinement of `source`.

    `overwrite` allows both, but never work in a folder that `refine` did not make. Raises ConfigError.
    """
    folder = run_folder(out)
    check_parents(out)
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file for the refined log")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, where the run folder of {out.name} must be; choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / mark).is_file() for mark in MARKS):
        raise ConfigError(f"{folder} is a folder that `recloop refine` did not make; choose another name than {out}")
    if overwrite:
        return
    note = read_undo(folder) if (folder / UNDO).is_file() else None
    begun = read_source(folder)
    for earlier in (note, begun):
        if earlier is not None and Path(earlier.source) != source.resolve() and earlier.sha256 != sha256(source):
            raise ConfigError(
                f"{folder} holds the refinement of another log, {earlier.source}; choose another name than {out}, or "
                "replace it with --overwrite (its copy of that log is kept)"
            )
    if out.exists() and not is_output(out, note):
        state = "was changed after it was written" if note is not None else "was not written by this refinement"
        raise ConfigError(f"{out} exists and {state}; choose another name, or replace it with --overwrite")


def is_output(out: Path, note: UndoNote | None) -> bool:
    """Whether the file `out` is what the noted refinement wrote, or the log that `undo` put back in its place."""
    return note is not None and sha256(out) in (note.refined_sha256, note.previous_sha256, note.sha256)
