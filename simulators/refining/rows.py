"""The rows of the refined log, by block: real rows field for field as they were, new ones behind their user's last.

Rows that an agent removed are left out; they, and every other row that was changed, stand in `changes.parquet` of the
run folder (`changes.py`). A table of rows has two columns beside the file's own: `AT` and `SEQ`, where each row goes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...agents.fusion import GENERATED, REMOVED, REPLACED
from ...recsys.data import Dataset
from ...recsys.data.dataset import PROVENANCE_COLUMNS
from ...recsys.data.log_file import LogFile
from ...recsys.data.streams import RAW
from .blocks import Blocks

ADDED = ("weight", *PROVENANCE_COLUMNS)
"""Columns that are written beside each row."""
AT, SEQ = "row:at", "row:seq"
"""Where a row goes: behind row `at` of the file, as number `seq` (0: that row itself)."""


def block_rows(log: LogFile, blocks: Blocks, block: int, data: Dataset, provenance: bool) -> pa.Table:
    """A block's rows as they are written, in the order of the file, with their places."""
    if log.kind == "sequences":
        return _sequences(log, data, blocks.read(block, ["user", "items", "row"]))
    frame = data.interactions
    raw = blocks.read(block)
    stays = frame[(frame["origin"] != REMOVED).to_numpy()]
    real = stays[stays["row"] >= 0].sort_values("row", kind="stable")
    made = _placed(frame, stays)
    known = raw["row"].to_numpy()
    copies = raw.take(pa.array(np.searchsorted(known, real["row"].to_numpy())))
    models = raw.take(pa.array(np.searchsorted(known, made["at"].to_numpy())))
    catalogue = data.items["item_id"].to_numpy()
    ids = catalogue[made["item"].to_numpy(np.int64)]
    if log.kind == "lines":
        lines = [
            *_marked_lines(log, copies["raw:line"], real, provenance, catalogue),
            *_new_lines(log, models, made, ids, provenance),
        ]
        columns: dict[str, Any] = {"line": pa.array(lines, pa.string())}
    else:
        columns = _columns(log, copies, models, real, made, ids, provenance, catalogue)
    at = np.concatenate([real["row"].to_numpy(np.int64), made["at"].to_numpy(np.int64)])
    seq = np.concatenate([np.zeros(len(real), np.int64), made["seq"].to_numpy(np.int64)])
    order = np.lexsort((seq, at))
    return pa.table({**columns, AT: at, SEQ: seq}).take(pa.array(order))


def _placed(frame: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    """The new rows, with the row of the file that each stands behind (its user's last) and its number there."""
    last = frame[frame["row"] >= 0].groupby("user", sort=True)["row"].last()
    made = stays[stays["row"] < 0]
    made = made.assign(at=last.reindex(made["user"]).to_numpy(np.int64))
    return made.assign(seq=made.groupby("user", sort=False).cumcount() + 1)


def _columns(
    log: LogFile,
    copies: pa.Table,
    models: pa.Table,
    real: pd.DataFrame,
    made: pd.DataFrame,
    ids: Any,
    provenance: bool,
    catalogue: Any,
) -> dict[str, Any]:
    """Column of the file -> the real rows' fields as they were, then the new rows'."""
    ours = {theirs: name for name, theirs in log.places.items()}
    columns: dict[str, Any] = {}
    for name in log.names:
        old, new = copies[f"{RAW}{name}"], models[f"{RAW}{name}"]
        match ours.get(name):
            case "user_id" | "timestamp":
                pass
            case "item_id":
                new = pa.chunked_array([pa.array(ids.tolist(), old.type)])
                old = _with_replaced(old, real, catalogue)
            case "value":
                new = _like(new, made["value"].to_numpy(np.float32))
            case _:
                blank = "" if pa.types.is_string(old.type) else None
                new = pa.chunked_array([pa.array([blank] * len(made), old.type)])
        columns[name] = pa.chunked_array([*old.chunks, *new.chunks], old.type)
    if provenance:
        both = pd.concat([real, made], ignore_index=True)
        for ours_name in ADDED:
            theirs = log.places.get(ours_name, ours_name)
            columns[theirs] = _column_of(both[ours_name], text=log.kind != "parquet")
    return columns


def _column_of(column: pd.Series, *, text: bool) -> pa.Array:
    if column.dtype.kind != "f":
        return pa.array(column.fillna("").tolist(), pa.string())
    numbers = column.to_numpy(np.float32)
    if not text:
        return pa.array(numbers, mask=np.isnan(numbers))
    return pa.array(["" if one != one else str(one) for one in numbers], pa.string())


def _like(fields: pa.ChunkedArray, values: Any) -> pa.ChunkedArray:
    """Values written as the fields are: 4 or 4.0."""
    if not pa.types.is_string(fields.type):
        return pa.chunked_array([pa.array(values).cast(fields.type, safe=False)])
    texts = [
        str(int(value)) if "." not in str(old) and float(value).is_integer() else str(value)
        for old, value in zip(fields.to_pylist(), values, strict=True)
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _new_lines(log: LogFile, models: pa.Table, made: pd.DataFrame, ids: Any, provenance: bool) -> list[str]:
    lines = []
    for line, item, row in zip(models["raw:line"].to_pylist(), ids, made.to_dict("records"), strict=True):
        before = json.loads(line)
        wanted = {log.places[name] for name in ("user_id", "item_id", "value", "timestamp") if name in log.places}
        record = {name: before[name] for name in before if name in wanted}
        record[log.places["item_id"]] = plain(item)
        if "value" in log.places:
            record[log.places["value"]] = float(row["value"])
        lines.append(json.dumps(record | (_provenance(row) if provenance else {}), ensure_ascii=False))
    return lines


def _with_replaced(fields: pa.ChunkedArray, real: pd.DataFrame, catalogue: Any) -> pa.ChunkedArray:
    """The real rows' item fields as they were, but where another item stands in the row now."""
    replaced = np.flatnonzero((real["origin"] == REPLACED).to_numpy())
    if not len(replaced):
        return fields
    values, items = fields.to_pylist(), real["item"].to_numpy(np.int64)
    for at in replaced.tolist():
        ident = plain(catalogue[items[at]])
        values[at] = str(ident) if pa.types.is_string(fields.type) else ident
    return pa.chunked_array([pa.array(values, fields.type)])


def _marked_lines(
    log: LogFile, lines: pa.ChunkedArray, real: pd.DataFrame, provenance: bool, catalogue: Any
) -> list[str]:
    texts: list[str] = lines.to_pylist()
    for at in np.flatnonzero((real["origin"] != "raw").to_numpy()):
        row = real.iloc[at].to_dict()
        if row["origin"] != REPLACED and not provenance:
            continue
        record = json.loads(texts[at])
        if row["origin"] == REPLACED:
            record[log.places["item_id"]] = plain(catalogue[int(row["item"])])
        texts[at] = json.dumps(record | (_provenance(row) if provenance else {}), ensure_ascii=False)
    return texts


def _provenance(row: dict[Any, Any]) -> dict[str, Any]:
    sure = float(row["confidence"])
    numbers = {"weight": round(float(row["weight"]), 6), "confidence": None if sure != sure else round(sure, 6)}
    return {**numbers, **{name: row[name] for name in ("origin", "agent", "record")}}


def _sequences(log: LogFile, data: Dataset, raw: pa.Table) -> pa.Table:
    """A row a user; the last item stays a real one, as whoever tests on it expects.

    raw: the block's `user`, `items` and `row`: lines of users without items are written as they were.
    """
    frame = data.interactions[(data.interactions["origin"] != REMOVED).to_numpy()]
    items = data.items["item_id"].astype(str).to_numpy(object)[frame["item"]]
    real = (frame["origin"] != GENERATED).to_numpy()
    users = frame["user"].to_numpy()
    place = np.arange(len(frame), dtype=np.float64)
    last = pd.Series(place[real]).groupby(users[real]).max()
    ends = last.reindex(users).to_numpy()
    place = np.where(~real & (place > ends), ends - 0.5, place)
    order = np.lexsort((place, users))
    starts = pd.Series(data.interactions["row"].to_numpy())[(data.interactions["row"] >= 0).to_numpy()]
    row = starts.groupby(data.interactions["user"].to_numpy()[starts.index]).first()
    lists = pd.Series(items[order]).groupby(users[order]).agg(list)
    listed = "item_id" not in log.places
    if not listed:
        lists = lists[lists.map(len) > 1]
    ids = [str(data.users["user_id"].iat[user]) for user in lists.index]
    at = row.reindex(lists.index).to_numpy(np.int64)
    if listed:
        empty = raw.filter(pc.equal(pc.list_value_length(raw["items"]), 0))
        columns = {
            log.places["user_id"]: [*ids, *map(str, empty["user"].to_pylist())],
            log.places["item_id_list"]: [*(log.form.separator.join(one) for one in lists), *[""] * len(empty)],
        }
        at = np.concatenate([at, empty["row"].to_numpy()])
    else:
        columns = {
            log.places["user_id"]: ids,
            log.places["item_id_list"]: [" ".join(one[:-1]) for one in lists],
            log.places["item_id"]: [one[-1] for one in lists],
        }
    table = pa.table({**{name: pa.array(columns.get(name, [""] * len(at)), pa.string()) for name in log.names},
                      AT: at, SEQ: np.zeros(len(at), np.int64)})  # fmt: skip
    return table.take(pa.array(np.argsort(at, kind="stable")))


def plain(ident: Any) -> Any:
    return int(ident) if isinstance(ident, np.integer) else ident
