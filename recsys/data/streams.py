"""Reads a log of any size in chunks, every field as the file has it, beside the columns that recloop reads.

`log_detection.logged` says how the file is written; `chunks` reads it. A chunk keeps all
columns of the file, so that a row can be written again as it was, and adds `user`, `item`, `fine` (the time in the
file's own unit), `value`, `weight` and the row's number. DataErrors name file, row and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import DataError
from .dataset import PROVENANCE_COLUMNS
from .log_file import LogFile, opened_lines, raw_tables
from .times import PER_SECOND, check_moments, from_texts

RAW = "raw:"
"""Before the name of each column of the file, in a chunk."""


def chunks(log: LogFile) -> Iterator[pa.Table]:
    """The log, at most CHUNK_ROWS rows at a time: `user`, `item` (text, or whole numbers of Parquet), `fine` (number),
    `value`, `weight` (float32), `row` (int64, from 0), provenance where the file has it, and every column of the file
    as `raw:<name>`. A log of sequences has `items` (list) in place of `item`, and no raw columns but the user's."""
    row = 0
    for table in raw_tables(log):
        yield _understood(log, table, row)
        row += table.num_rows


def _understood(log: LogFile, table: pa.Table, row: int) -> pa.Table:
    """The columns that recloop reads, made from those of the file."""
    raw = {f"{RAW}{name}": table[name] for name in table.column_names}
    if log.kind == "lines":
        table = opened_lines(log, table, row)
    n = table.num_rows
    rows = np.arange(row, row + n)
    users = _ids(log, table, "user_id", row)
    if log.kind == "sequences":
        lists = table[log.places["item_id_list"]].to_pylist()
        if "item_id" not in log.places:
            return pa.table({"user": users, "items": table["item_id_list"], "row": rows})
        last = _ids(log, table, "item_id", row)
        items = [[*past.split(), item] for past, item in zip(lists, last.to_pylist(), strict=True)]
        return pa.table({"user": users, "items": pa.array(items, pa.list_(pa.string())), "row": rows})
    columns: dict[str, Any] = {"user": users, "item": _ids(log, table, "item_id", row)}
    columns["fine"] = _fine(log, table, rows)
    columns["value"] = _number(log, table, "value", row)
    columns["weight"] = _number(log, table, "weight", row)
    for name in PROVENANCE_COLUMNS:
        if name in log.places:
            gaps = name == "confidence"
            columns[name] = _number(log, table, name, row, gaps) if gaps else _text(table[log.places[name]])
    return pa.table({**columns, "row": rows, **raw})


def _ids(log: LogFile, table: pa.Table, ours: str, row: int) -> pa.ChunkedArray:
    column = table[log.places[ours]]
    if pa.types.is_floating(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_integer(column.type):
        column = column.cast(pa.string())
        empty = pc.or_kleene(pc.is_null(column), pc.equal(column, ""))
    else:
        column, empty = column.cast(pa.int64()), pc.is_null(column)
    if pc.any(empty).as_py():
        at = row + pc.index(empty, True).as_py() + 1
        raise DataError(
            f"{log.file}: row {at}, column {log.places[ours]!r} is empty, but an id is needed; fill or remove the row"
        )
    return column


def _number(log: LogFile, table: pa.Table, ours: str, row: int, gaps: bool = False) -> npt.NDArray[np.float32]:
    if ours not in log.places:
        return np.ones(table.num_rows, np.float32)
    texts = table[log.places[ours]].to_pandas()
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float32)
    bad = ~np.isfinite(numbers)
    if gaps or ours == "weight":
        blank = texts.isna() | (texts == "")
        numbers[blank & (ours == "weight")] = 1
        bad &= ~blank.to_numpy()
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{log.file}: row {row + at + 1}, column {log.places[ours]!r}: {texts.iloc[at]!r} is not a finite number; "
            "mend or remove the row"
        )
    return numbers


def _fine(log: LogFile, table: pa.Table, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The time as a number: in `unit`, or in seconds where the file has text; the row's number where it has none."""
    if log.unit == "order":
        return rows.astype(np.float64)
    column = table[log.places["timestamp"]].to_pandas()
    try:
        if column.dtype.kind == "M":
            return pd.to_datetime(column, utc=True).to_numpy("datetime64[ns]").astype(np.int64) / 1e9
        if log.unit in PER_SECOND:
            fine = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
            if (bad := ~np.isfinite(fine)).any():
                at = int(np.flatnonzero(bad)[0])
                raise ValueError(f"row {rows[at] + 1}: {column.iloc[at]!r} is no finite number")
            check_moments(fine, PER_SECOND[log.unit], rows=rows, typical=log.typical)
            return fine
        return from_texts(column, "auto" if log.unit == "iso" else log.unit)[0].astype(np.float64)
    except (ValueError, TypeError) as error:
        where = "" if str(error).startswith("row ") else f"rows {rows[0] + 1} to {rows[-1] + 1}, "
        raise DataError(
            f"{log.file}: {where}column {log.places['timestamp']!r}: {error}; mend it, or set `time`"
        ) from error


def seconds(log: LogFile, fine: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Unix seconds of `fine`, rounded down; the order itself where the log has no time."""
    return np.floor_divide(fine, PER_SECOND.get(log.unit, 1)).astype(np.int64)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(column.cast(pa.string()), "")
