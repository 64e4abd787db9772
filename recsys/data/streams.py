"""Reads a log of any size in chunks, every field as the file has it, with what recloop knows of it beside.

`logged(path, ...)` looks at the file once and says how it is written; `chunks` reads it. A chunk keeps all columns of
the file, so that a row can be written again as it was, and adds `user`, `item`, `fine` (the time in the file's own
unit), `value`, `weight` and the row's number. What is wrong is named by file, row and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from ...errors import DataError
from .amazon import NEW, OLD
from .atomic import fields
from .dataset import PROVENANCE_COLUMNS
from .delimited import Format, _delimiter, _stream, header, require
from .files import File, one, refuse
from .tables import ALIASES
from .times import PER_SECOND, check_setting, from_texts, unit_of

Kind = Literal["delimited", "parquet", "atomic", "sequences", "lines"]
RAW = "raw:"
"""Before the name of each column of the file, in a chunk."""
CHUNK_ROWS = 250_000
_KNOWN = ("user_id", "item_id", "timestamp", "value", "weight", *PROVENANCE_COLUMNS)


@dataclass(frozen=True)
class Log:
    """How one log is written.

    names: the file's columns in order (`lines`: none). places: our name -> the file's. unit: of numeric times, or a
    format, iso, or order. form: separator, quotes, encoding and header of text.
    """

    file: File
    kind: Kind
    names: tuple[str, ...]
    places: Mapping[str, str]
    unit: str
    form: Format = field(default_factory=Format)
    headless: bool = False


def logged(
    path: str | Path,
    columns: Mapping[str, str | int] | None = None,
    *,
    time: str = "auto",
    separator: str | None = None,
    encoding: str = "utf-8",
    quoted: bool = False,
    names: tuple[str, ...] = (),
) -> Log:
    """How the log at `path` is written: CSV, TSV and other delimited text, Parquet, RecBole's `.inter` (one row an
    interaction, or one a user), or Amazon's JSON lines; text may be under gzip.

    columns, time, separator, encoding as `read_table` takes them; names, quoted: the header that an `.inter` lacks and
    its quotes, as `read_atomic` does. Raises DataError for a file of another kind or without users and items.
    """
    check_setting(time)
    file = one(path)
    base = file.name.removesuffix(".gz")
    mapped = dict(columns or {})
    if base.endswith((".zip", ".json.zip")):
        raise DataError(f"{file} is an archive; unpack it and give the log in it")
    if base.endswith((".parquet", ".pq")):
        found = tuple(parquet.ParquetFile(file.path).schema_arrow.names)
        return _timed(Log(file, "parquet", found, _places(file, found, mapped), time))
    if base.endswith((".json", ".jsonl")):
        return _timed(_lines(file, mapped, time))
    if base.endswith(".inter"):
        form = Format("\t", quoted, encoding, names or None)
        typed = fields(file, form)
        raw = tuple(column for column, _ in typed.values())
        places = {ours: typed[theirs][0] for ours, theirs in _places(file, tuple(typed), mapped).items()}
        kind: Kind = "sequences" if "item_id_list" in places else "atomic"
        return _timed(Log(file, kind, raw, places, time, form, headless=bool(names)))
    separator = separator or ("\t" if base.endswith((".tsv", ".tab", ".txt")) else ",")
    if any(isinstance(place, int) for place in mapped.values()):
        wide = len(header(file, Format(separator, encoding=encoding)))
        found = tuple(map(str, range(wide)))
        form = Format(separator, encoding=encoding, names=found)
        return _timed(Log(file, "delimited", found, _places(file, found, mapped), time, form, headless=True))
    form = Format(separator, encoding=encoding)
    found = tuple(header(file, form))
    return _timed(Log(file, "delimited", found, _places(file, found, mapped), time, form))


def chunks(log: Log) -> Iterator[pa.Table]:
    """The log, at most CHUNK_ROWS rows at a time: `user`, `item` (text, or whole numbers of Parquet), `fine` (number),
    `value`, `weight` (float32), `row` (int64, from 0), provenance where the file has it, and every column of the file
    as `raw:<name>`. A log of sequences has `items` (list) in place of `item`, and no raw columns but the user's."""
    row = 0
    for table in _tables(log):
        yield _understood(log, table, row)
        row += table.num_rows


def _tables(log: Log) -> Iterator[pa.Table]:
    if log.kind == "parquet":
        with parquet.ParquetFile(log.file.path) as opened:
            for batch in opened.iter_batches(batch_size=CHUNK_ROWS):
                yield pa.Table.from_batches([batch])
        return
    if log.kind == "lines":
        yield from _line_tables(log)
        return
    try:
        with _stream(log.file, log.form) as stream:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(
                    column_names=list(log.names),
                    skip_rows=0 if log.form.names is not None else 1,
                    encoding=log.form.encoding.removesuffix("-sig"),
                    block_size=2 << 20,
                    use_threads=False,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=_delimiter(log.form),
                    quote_char='"' if log.form.quoted else False,
                    newlines_in_values=log.form.quoted,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in log.names}, strings_can_be_null=False
                ),
            )
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise DataError(f"{log.file} cannot be read: {error}; mend or remove the line") from error
    except (OSError, EOFError) as error:
        refuse(log.file, error)


def _line_tables(log: Log) -> Iterator[pa.Table]:
    lines: list[str] = []
    with log.file.open() as stream:
        for raw in stream:
            text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if text.strip():
                lines.append(text)
            if len(lines) == CHUNK_ROWS // 5:
                yield pa.table({"line": pa.array(lines, pa.string())})
                lines = []
    if lines:
        yield pa.table({"line": pa.array(lines, pa.string())})


def _understood(log: Log, table: pa.Table, row: int) -> pa.Table:
    """The columns that recloop reads, made from those of the file."""
    raw = {f"{RAW}{name}": table[name] for name in table.column_names}
    if log.kind == "lines":
        table = _opened_lines(log, table, row)
    n = table.num_rows
    rows = np.arange(row, row + n)
    users = _ids(log, table, "user_id", row)
    if log.kind == "sequences":
        last, lists = _ids(log, table, "item_id", row), table[log.places["item_id_list"]].to_pylist()
        items = [[*past.split(), item] for past, item in zip(lists, last.to_pylist(), strict=True)]
        return pa.table({"user": users, "items": pa.array(items, pa.list_(pa.string())), "row": rows})
    found: dict[str, Any] = {"user": users, "item": _ids(log, table, "item_id", row)}
    found["fine"] = _fine(log, table, rows)
    found["value"] = _number(log, table, "value", row)
    found["weight"] = _number(log, table, "weight", row)
    for name in PROVENANCE_COLUMNS:
        if name in log.places:
            gaps = name == "confidence"
            found[name] = _number(log, table, name, row, gaps) if gaps else _text(table[log.places[name]])
    return pa.table({**found, "row": rows, **raw})


def _opened_lines(log: Log, table: pa.Table, row: int) -> pa.Table:
    wanted = list(log.places.values())
    found: dict[str, list[Any]] = {name: [] for name in wanted}
    for at, line in enumerate(table["line"].to_pylist()):
        try:
            record = json.loads(line)
            values = [
                record.get(name) if name in PROVENANCE_COLUMNS or name == "weight" else record[name] for name in wanted
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{log.file}: record {row + at + 1} is not JSON with {', '.join(wanted)} ({error}); mend or remove it"
            ) from None
        for name, value in zip(wanted, values, strict=True):
            found[name].append(None if value is None else str(value))
    return pa.table({name: pa.array(values, pa.string()) for name, values in found.items()})


def _ids(log: Log, table: pa.Table, ours: str, row: int) -> pa.ChunkedArray:
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


def _number(log: Log, table: pa.Table, ours: str, row: int, gaps: bool = False) -> npt.NDArray[np.float32]:
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


def _fine(log: Log, table: pa.Table, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The time as a number: in `unit`, or in seconds where the file has text; the row's number where it has none."""
    if log.unit == "order":
        return rows.astype(np.float64)
    column = table[log.places["timestamp"]].to_pandas()
    try:
        if column.dtype.kind == "M":
            return pd.to_datetime(column, utc=True).to_numpy("datetime64[ns]").astype(np.int64) / 1e9
        if log.unit in PER_SECOND:
            fine = pd.to_numeric(column).to_numpy(np.float64)
            if not np.isfinite(fine).all():
                raise ValueError("holds a time that is not finite")
            return fine
        return from_texts(column, "auto" if log.unit == "iso" else log.unit)[0].astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{log.file}: rows {rows[0] + 1} to {rows[-1] + 1}, column {log.places['timestamp']!r}: {error}; mend it, "
            "or set `time`"
        ) from error


def seconds(log: Log, fine: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Unix seconds of `fine`, rounded down; the order itself where the log has no time."""
    return np.floor_divide(fine, PER_SECOND.get(log.unit, 1)).astype(np.int64)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(column.cast(pa.string()), "")


def _timed(log: Log) -> Log:
    """The log with the unit of its times, told from its first rows."""
    unit = log.unit
    if log.kind == "sequences" or "timestamp" not in log.places or unit == "order":
        unit = "order"
    elif unit == "auto":
        first = next(_tables(log), None)
        if first is None or not first.num_rows:
            raise DataError(f"{log.file}: no interactions; the file holds no row under its header")
        if log.kind == "lines":
            first = _opened_lines(log, first, 0)
        column = first[log.places["timestamp"]].to_pandas()
        numbers = pd.to_numeric(column, errors="coerce") if column.dtype.kind != "M" else None
        unit = "iso" if numbers is None or numbers.isna().any() else unit_of(numbers.to_numpy(np.float64))
    return Log(log.file, log.kind, log.names, log.places, unit, log.form, log.headless)


def _lines(file: File, columns: Mapping[str, str | int], time: str) -> Log:
    with file.open() as stream:
        try:
            first = json.loads(next(iter(stream), b"{}"))
        except ValueError as error:
            raise DataError(
                f"{file}: line 1 is no JSON record ({error}); the files of 2014 that are Python literals must be "
                "converted first, as `recloop data convert amazon` does"
            ) from None
    usual = NEW if "parent_asin" in first else OLD
    ours = dict(zip(("user_id", "item_id", "value", "timestamp"), usual, strict=True))
    ours |= {name: str(theirs) for name, theirs in columns.items()}
    require(file, list(first), list(ours.values()))
    ours |= {name: name for name in ("weight", *PROVENANCE_COLUMNS)}
    return Log(file, "lines", (), ours, time)


def _places(file: File, names: tuple[str, ...], columns: Mapping[str, str | int]) -> dict[str, str]:
    mapped = {ours: str(theirs) for ours, theirs in columns.items()}
    require(file, names, list(mapped.values()))
    found = {}
    for ours in (*_KNOWN, "item_id_list"):
        usual = (mapped[ours],) if ours in mapped else (ours, *ALIASES.get(ours, ()))
        free = [name for name in usual if name in names and (ours in mapped or name not in mapped.values())]
        if free:
            found[ours] = free[0]
    for ours in ("user_id", "item_id"):
        if ours not in found:
            require(file, names, [ours])
    return found
