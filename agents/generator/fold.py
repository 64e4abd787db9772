"""The fold of the generator's records: generated interactions or preference pairs; and counts for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...recsys.data import Dataset
from ..agent import Records
from ..blockwise import sum_figures
from ..fusion import added, is_generated, plain
from ..payloads import payloads_for
from .machine import NAME

Bools = npt.NDArray[np.bool_]


def fold(data: Dataset, records: Records) -> Dataset:
    """A new Dataset with what the ok records say; `data` itself is not touched.

    The value of a generated row is the user's median, its time the user's last. Records of other agents, and rows of
    users that the data does not know, are passed over.
    """
    codes = {plain(ident): code for code, ident in enumerate(data.users["user_id"])}
    rows: list[tuple[int, int, float, str]] = []
    pairs: list[tuple[int, int, int, float, str, str]] = []
    for key, payload in payloads_for(data, records, NAME):
        mine = [row for row in payload["rows"] if row["user"] in codes]
        rows += [(codes[row["user"]], row["item"], row["score"], key) for row in mine]
        if payload.get("user") in codes:
            user = codes[payload["user"]]
            pairs += [(user, pair["preferred"], pair["other"], 1.0, NAME, key) for pair in payload.get("pairs", ())]
    if rows:
        data = added(data, pd.DataFrame(rows, columns=["user", "item", "confidence", "record"]), NAME)
    if pairs:
        table = pd.DataFrame(pairs, columns=["user", "preferred", "other", "weight", "agent", "record"])
        table = table.astype({"user": np.int32, "preferred": np.int32, "other": np.int32, "weight": np.float32})
        data = data.with_(pairs=pd.concat([data.pairs, table], ignore_index=True) if len(data.pairs) else table)
    return data


def report(data: Dataset, records: Records, tail: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Counts of a run: proposals by how they were grounded, what was dropped and why, rows, pairs, tail items helped.

    data: the train side that was asked about. tail: (n_items,).
    """
    matched: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    pairs = 0
    for _, payload in payloads_for(data, records, NAME):
        matched.update(payload["matched"])
        dropped.update(payload["dropped"])
        pairs += len(payload.get("pairs", ()))
    folded = fold(data, records)
    before = np.bincount(data.item[is_generated(data)], minlength=data.n_items)
    new = np.bincount(folded.item[is_generated(folded)], minlength=data.n_items) - before
    return {
        "tasks": len(records),
        "proposals": sum(matched.values()),
        "grounded": {how: matched[how] for how in ("handle", "exact", "fuzzy", "embedding") if matched[how]},
        "not_grounded": {how: matched[how] for how in ("ambiguous", "unmatched") if matched[how]},
        "dropped": dict(sorted(dropped.items())),
        "rows": int(new.sum()),
        "pairs": pairs,
        "rows_of_tail_items": int(new[tail].sum()),
        "tail_items": int(tail.sum()),
        "tail_items_with_new_rows": int((new[tail] > 0).sum()),
    }


def block_report(tail: Bools, data: Dataset, records: Records, folded: Dataset) -> dict[str, Any]:
    """`report` of one block of a log, with the codes of the items that have new rows in it (`new`)."""
    before = np.bincount(data.item[is_generated(data)], minlength=data.n_items)
    after = np.bincount(folded.item[is_generated(folded)], minlength=data.n_items)
    return {**report(data, records, tail), "new": np.flatnonzero(after > before).tolist()}


def total_report(tail: Bools, reports: Sequence[dict[str, Any]], *, shared: bool) -> dict[str, Any]:
    """The reports of all blocks as one; an item that has new rows in several blocks is counted once.

    shared: the records are those of the whole log, so each block's report has counted them.
    """
    new = np.zeros(len(tail), bool)
    for block in reports:
        new[block["new"]] = True
    of_records = ("tasks", "proposals", "grounded", "not_grounded", "dropped") if shared else ()
    counts = [
        {name: value for name, value in block.items() if name != "new" and (at == 0 or name not in of_records)}
        for at, block in enumerate(reports)
    ]
    return {
        **sum_figures(counts),
        "tail_items": int(tail.sum()),
        "tail_items_with_new_rows": int(new[tail].sum()),
    }
