"""`diff`: what a refined log has otherwise than the log it was made of: what, why, and how sure, by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import DataError
from .source_copy import read_kept, sha256

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
    Raises RunError without such a folder, DataError for a file that is not of the run.
    """
    raw, refined = Path(raw), Path(refined)
    folder = refined.with_name(f"{refined.name}.run")
    kept = read_kept(folder)
    for path, name, made in ((raw, "sha256", "read"), (refined, "refined_sha256", "written")):
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the log and the refined log")
        if sha256(path) != kept[name]:
            raise DataError(
                f"{path} is not the log that was {made} in {folder}; refine it again, or give the right one"
            )
    changed = pd.read_parquet(folder / "changes.parquet")
    # Rows that are new have no place in the raw log: they come behind their user's others.
    changed["order"] = changed["row"].where(changed["row"] >= 0, len(changed) + changed["row"].max())
    users: dict[str, list[Change]] = {}
    for row in changed.sort_values("order", kind="stable").to_dict("records"):
        sure = float(row["confidence"])
        users.setdefault(str(row["user_id"]), []).append(
            Change(
                WHAT.get(row["origin"], row["origin"]),
                row["item_id"],
                None if pd.isna(row["was_id"]) else row["was_id"],
                int(row["row"]),
                round(float(row["weight"]), 6),
                None if sure != sure else round(sure, 6),
                row["reason"] or "",
                row["agent"],
                row["record"],
            )
        )
    return Diff(str(raw), str(refined), {user: tuple(edits) for user, edits in users.items()})
