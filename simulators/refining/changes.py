"""`changes.parquet`: every row that an agent added, removed, replaced or weighed, with its provenance and the reason.

Every block is written with one schema, whether it holds an edit or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ...agents.fusion import REMOVED, with_provenance
from ...recsys.data import Dataset
from .rows import ADDED, plain

CHANGES = "changes.parquet"
LONGEST = 1 << 24
"""More than the interactions of any row of a log of sequences."""


def changes(before: Dataset, after: Dataset, reasons: Mapping[tuple[str, int], str] | None = None) -> pa.Table:
    """The rows of a block that this refinement has made or changed: ids, weight, provenance, row of the file (-1: new).

    before: the block as it was read; what an earlier refinement of the log left in it is no change. after: with the
    rows that a step took out of it (`with_removed_rows`). `was_id` is the
    item that a replaced row had, null elsewhere; `reason` what `reasons` has for (record, item code).
    """
    edits = after.interactions[changed_rows(before, after)]
    user_ids, item_ids = after.users["user_id"].to_numpy(), after.items["item_id"].to_numpy()
    was = edits["was"].to_numpy() if "was" in edits else np.full(len(edits), -1)
    old = np.where(was >= 0, was, edits["item"].to_numpy())
    columns = {
        "user_id": [plain(ident) for ident in user_ids[edits["user"]]],
        "item_id": [plain(ident) for ident in item_ids[edits["item"]]],
        **{name: edits[name].to_numpy() for name in ("row", *ADDED)},
        "was_id": [plain(item_ids[item]) if item >= 0 else None for item in was],
        "reason": [(reasons or {}).get(about, "") for about in zip(edits["record"], old.tolist(), strict=True)],
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema_of(after)})


def changed_rows(before: Dataset, after: Dataset) -> npt.NDArray[np.bool_]:
    """(len(after),) which rows are new, or differ from the same row of `before` in item, weight or provenance."""
    names = ["item", *ADDED]
    old, new = with_provenance(before.interactions), after.interactions
    keys, read = row_keys(new), (new["row"] >= 0).to_numpy()
    same = old.set_index(row_keys(old))[names].reindex(keys[read])
    differs = np.zeros(int(read.sum()), bool)
    for name in names:
        left, right = same[name].to_numpy(), new[name].to_numpy()[read]
        if name == "confidence":
            left, right = np.nan_to_num(left.astype(float), nan=-1), np.nan_to_num(right.astype(float), nan=-1)
        differs |= left != right
    changed = ~read
    changed[read] = differs
    return changed


def row_keys(frame: pd.DataFrame) -> pd.Index:
    """What tells the read rows of a block apart: the row of the file, and the place in it where a row is a sequence."""
    rows = frame["row"]
    return pd.Index(rows.to_numpy(np.int64) * LONGEST + rows.groupby(rows).cumcount().to_numpy())


def schema_of(data: Dataset) -> pa.Schema:
    """The columns of `changes.parquet`; ids are whole numbers where the log's are, else text."""
    user, item = (
        pa.int64() if ids.dtype.kind in "iu" else pa.string() for ids in (data.users["user_id"], data.items["item_id"])
    )
    return pa.schema(
        [
            ("user_id", user),
            ("item_id", item),
            ("row", pa.int64()),
            ("weight", pa.float32()),
            ("origin", pa.string()),
            ("agent", pa.string()),
            ("confidence", pa.float32()),
            ("record", pa.string()),
            ("was_id", item),
            ("reason", pa.string()),
        ]
    )


def with_removed_rows(before: Dataset, after: Dataset, steps: Callable[[], Iterable[tuple[str, Dataset]]]) -> Dataset:
    """`after` with the rows of `before` that a step took out of the block, as removed by that step's agent.

    steps: (agent, block as its step has left it), in order. Most agents leave a removed row in its place, with weight
    0; one that an earlier refinement generated, or that a plug-in removes, may be gone.
    """
    keys = row_keys(before.interactions)
    absent = ~keys.isin(row_keys(after.interactions))
    if not absent.any():
        return after
    gone, keys = with_provenance(before.interactions)[absent], keys[absent]
    agents = np.full(len(gone), "", object)
    for agent, data in steps():
        agents[~keys.isin(row_keys(data.interactions)) & (agents == "")] = agent
    gone = gone.assign(origin=REMOVED, agent=agents, weight=np.float32(0), confidence=np.float32(np.nan), record="")
    frame = with_provenance(after.interactions)
    for column in frame.columns.difference(gone.columns, sort=False):
        gone[column] = -1
    return after.with_(interactions=pd.concat([frame, gone[list(frame.columns)]], ignore_index=True))
