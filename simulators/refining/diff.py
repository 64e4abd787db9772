"""`diff`: the edits between a refined log and the log it was made of: what, why, and how sure, by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ...errors import DataError, RunError
from ...notebook import html_of_facts
from .changes import CHANGES
from .output_check import run_folder
from .source_copy import read_undo, sha256

WHAT = {"removed": "removed", "replaced": "replaced", "reweighted": "reweighted", "generated": "added"}
"""Origin of a changed row -> what was done."""


@dataclass(frozen=True, slots=True)
class Change:
    """One edit. `row` counts the rows of the raw log from 0 (-1: a new one); `item` is what stands there now (removed:
    stood there), `was` what stood there before it was replaced."""

    what: str
    item: Any
    was: Any
    row: int
    weight: float
    sure: float | None
    """Confidence in [0, 1] of the agent; None where it stated none."""
    why: str
    agent: str
    record: str


@dataclass(frozen=True, slots=True)
class Diff:
    """Users in order of their first changed row, each with the edits in order of their rows."""

    raw: str
    refined: str
    users: Mapping[str, tuple[Change, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """What was done, how often."""
        return dict(sorted(Counter(change.what for edits in self.users.values() for change in edits).items()))

    def _repr_html_(self) -> str:
        return html_of_facts({"raw": self.raw, "refined": self.refined, "users": len(self.users), **self.counts})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "raw": self.raw,
            "refined": self.refined,
            "counts": self.counts,
            "users": {user: [asdict(change) for change in edits] for user, edits in self.users.items()},
        }


def diff(raw: Path | str, refined: Path | str) -> Diff:
    """Every edit between the log `raw` and the log that `refine` made of it.

    Read from the run folder beside `refined`, after checking that both files are, byte for byte, those of that run.
    Raises RunError without such a folder or where its table of changes is damaged, DataError for a file that is not of
    the run.
    """
    raw, refined = Path(raw), Path(refined)
    folder = run_folder(refined)
    note = read_undo(folder)
    for path, digest, role in ((raw, note.sha256, "read"), (refined, note.refined_sha256, "written")):
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the log and the refined log")
        if sha256(path) != digest:
            raise DataError(
                f"{path} is not the log that was {role} in {folder}; refine it again, or give the right one"
            )
    users: dict[str, list[Change]] = {}
    for row in _rows(folder / CHANGES):
        sure = row["confidence"]
        users.setdefault(str(row["user_id"]), []).append(
            Change(
                WHAT.get(row["origin"], row["origin"]),
                row["item_id"],
                row["was_id"],
                row["row"],
                round(row["weight"], 6),
                None if sure is None or sure != sure else round(sure, 6),
                row["reason"] or "",
                row["agent"],
                row["record"],
            )
        )
    return Diff(str(raw), str(refined), {user: tuple(edits) for user, edits in users.items()})


def _rows(path: Path) -> list[dict[str, Any]]:
    """The changed rows in the order of the log; new rows, which have no place in it, behind their user's others."""
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"{path} is missing or damaged ({error}); the same `recloop refine` writes it again and asks nothing"
        ) from error
    last = max((row["row"] for row in rows), default=0)
    return sorted(rows, key=lambda row: row["row"] if row["row"] >= 0 else last + 1)
