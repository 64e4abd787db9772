"""What changed between a raw and a refined dataset, row by row and by kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import DataError
from ..data.dataset import Dataset, Floats, Longs

Bools = npt.NDArray[np.bool_]

TEXTS = {"items": "semantics", "users": "profile"}
"""The columns that agents write; they move together with the vectors made from them."""


def edit_size(raw: Dataset, refined: Dataset) -> dict[str, int]:
    """How many edits lead from `raw` to `refined`, by kind.

    `removed`, `added` rows (a replaced item is one of each), `reweighted` rows, `pairs` stated, `scores` given, and
    rows of `item_vectors`, `user_vectors`, `semantics`, `profile` that differ. A row is known by user, item and
    timestamp.
    """
    check_same_codes(raw, refined)
    rows = row_edits(raw, refined)
    sizes = {
        "removed": int((rows.removed | (rows.replaced >= 0)).sum()),
        "added": int(len(rows.added) + (rows.replaced >= 0).sum()),
        "reweighted": int((~np.isnan(rows.weight)).sum()),
        "pairs": len(new_pairs(raw, refined)),
        "scores": len(new_scores(raw, refined)),
    }
    for table, side in (("items", "item_vectors"), ("users", "user_vectors")):
        changed = vectors_changed(len(getattr(raw, table)), getattr(raw, side), getattr(refined, side))
        sizes[side] = int(changed.sum())
        sizes[TEXTS[table]] = int(texts_changed(table, raw, refined).sum())
    return sizes


@dataclass(frozen=True, slots=True)
class RowEdits:
    """The fate of each row of raw (n,), and the positions of the new rows of refined."""

    removed: Bools
    replaced: Longs
    """The row of refined that stands in its place (same user and time, another item), or -1."""
    weight: Floats
    """The new weight, or NaN where it did not change."""
    added: Longs


def row_edits(raw: Dataset, refined: Dataset) -> RowEdits:
    """How the interactions of `refined` differ from those of `raw`."""
    unchanged = match_rows(raw.interactions, refined.interactions, ["user", "item", "timestamp"])
    gone = np.flatnonzero(unchanged < 0)
    new = np.setdiff1d(np.arange(len(refined)), unchanged[unchanged >= 0])
    place = match_rows(raw.interactions.iloc[gone], refined.interactions.iloc[new], ["user", "timestamp"])
    replaced = np.full(len(raw), -1, np.int64)
    replaced[gone[place >= 0]] = new[place[place >= 0]]
    after = np.where(unchanged >= 0, refined.weight[unchanged] if len(refined) else 0, raw.weight)
    return RowEdits(
        removed=(unchanged < 0) & (replaced < 0),
        replaced=replaced,
        weight=np.where(after == raw.weight, np.nan, after).astype(np.float32),
        added=np.setdiff1d(new, replaced),
    )


def match_rows(left: pd.DataFrame, right: pd.DataFrame, key: list[str]) -> Longs:
    """(len(left),) position in `right` of the row with the same key, or -1; the k-th duplicate pairs with the k-th."""
    sides = [table[key].assign(alike=table.groupby(key).cumcount()) for table in (left, right)]
    sides[1]["position"] = np.arange(len(right))
    position = sides[0].merge(sides[1], how="left", on=[*key, "alike"])["position"]
    return position.fillna(-1).to_numpy(np.int64)


def new_pairs(raw: Dataset, refined: Dataset) -> pd.DataFrame:
    """The pairs of `refined` that `raw` does not state."""
    old = match_rows(raw.pairs, refined.pairs, ["user", "preferred", "other"])
    return refined.pairs.iloc[np.setdiff1d(np.arange(len(refined.pairs)), old)]


def new_scores(raw: Dataset, refined: Dataset) -> pd.DataFrame:
    """The scores of `refined` that `raw` does not hold."""
    old = match_rows(raw.scores, refined.scores, ["user", "item", "score"])
    return refined.scores.iloc[np.setdiff1d(np.arange(len(refined.scores)), old)]


def vectors_changed(rows: int, before: Floats | None, after: Floats | None) -> Bools:
    """(rows,) whether each vector differs."""
    if after is None:
        return np.zeros(rows, bool)
    if before is None or before.shape != after.shape:
        return np.ones(rows, bool)
    return np.asarray((before != after).any(1))


def texts_changed(table: str, raw: Dataset, refined: Dataset) -> Bools:
    """(n,) whether each agent-written text differs."""
    return np.asarray(texts_of(table, raw) != texts_of(table, refined))


def texts_of(table: str, data: Dataset) -> npt.NDArray[np.object_]:
    """(n,) agent-written texts of a table, empty where there is none."""
    frame: pd.DataFrame = getattr(data, table)
    column = TEXTS[table]
    blank = pd.Series("", index=frame.index, dtype=object)
    return (frame[column].fillna("") if column in frame else blank).to_numpy(object)


def check_same_codes(raw: Dataset, refined: Dataset) -> None:
    """Raises DataError where the two have other users or items, or list them in another order."""
    for key, before, after in (("item_id", raw.items, refined.items), ("user_id", raw.users, refined.users)):
        if len(before) != len(after) or not (before[key].to_numpy() == after[key].to_numpy()).all():
            raise DataError(
                f"datasets {raw.name!r} and {refined.name!r} list different {key}s; make the refined one with "
                "raw.with_(...), which keeps the codes"
            )
