"""Edits that an agent's fold made without saying so get their provenance, so that every change of a row is known."""

from __future__ import annotations

import numpy as np

from ...agents.fusion import GENERATED, REMOVED, REPLACED, REWEIGHTED, with_provenance
from ...errors import RunError
from ...recsys.data import Dataset
from .changes import changed_rows, row_keys


def with_edits_marked(before: Dataset, after: Dataset, agent: str) -> Dataset:
    """`after` with `origin`, `agent` and `was` of rows that differ from `before` and do not name the agent.

    New rows are marked as generated; rows of the log with another item as replaced, with weight 0 as removed, with
    another weight as reweighted. RunError where the fold has lost the column `row`, by which rows are known.
    """
    frame = with_provenance(after.interactions)
    if "row" not in frame:
        raise RunError(f"agent {agent!r}: its fold leaves out the column `row`; keep every column of data.interactions")
    frame["row"] = frame["row"].fillna(-1).astype(np.int64)
    silent = changed_rows(before, after.with_(interactions=frame)) & (frame["agent"] != agent).to_numpy()
    if not silent.any():
        return after.with_(interactions=frame)
    new = (frame["row"] < 0).to_numpy()
    old = with_provenance(before.interactions).set_index(row_keys(before.interactions))
    items, read = frame["item"].to_numpy(copy=True), ~new
    items[read] = old["item"].reindex(row_keys(frame)[read]).to_numpy()
    replaced = silent & (items != frame["item"].to_numpy())
    weightless = silent & (frame["weight"] == 0).to_numpy()
    origin = np.select([new, replaced, weightless], [GENERATED, REPLACED, REMOVED], REWEIGHTED)
    was = frame["was"].to_numpy(copy=True) if "was" in frame else np.full(len(frame), -1, np.int32)
    was[replaced] = items[replaced]
    return after.with_(
        interactions=frame.assign(
            origin=np.where(silent, origin, frame["origin"]),
            agent=np.where(silent, agent, frame["agent"]),
            was=was,
        )
    )
