"""`changes.parquet`: every row that an agent added, removed, replaced or weighed, with its provenance and the reason.

Every block is written with one schema, whether it holds an edit or not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ...recsys.data import Dataset
from .rows import ADDED, plain


def changes(data: Dataset, reasons: Mapping[tuple[str, int], str] | None = None) -> pa.Table:
    """The rows of a block that an agent has made or changed: ids, weight, provenance, row of the file (-1: new).

    `was_id` is the item that a replaced row had, null elsewhere; `reason` what `reasons` has for (record, item code).
    """
    edits = data.interactions[(data.interactions["origin"] != "raw").to_numpy()]
    user_ids, item_ids = data.users["user_id"].to_numpy(), data.items["item_id"].to_numpy()
    was = edits["was"].to_numpy() if "was" in edits else np.full(len(edits), -1)
    old = np.where(was >= 0, was, edits["item"].to_numpy())
    columns = {
        "user_id": [plain(ident) for ident in user_ids[edits["user"]]],
        "item_id": [plain(ident) for ident in item_ids[edits["item"]]],
        **{name: edits[name].to_numpy() for name in ("row", *ADDED)},
        "was_id": [plain(item_ids[item]) if item >= 0 else None for item in was],
        "reason": [(reasons or {}).get(about, "") for about in zip(edits["record"], old.tolist(), strict=True)],
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema_of(data)})


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
