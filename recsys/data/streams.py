"""Reads a log of any size in chunks, every field as the file has it, beside the columns that recloop reads.

`logged(path, ...)` looks at the first rows and says how the file is written; `chunks` reads it. A chunk keeps all
columns of the file, so that a row can be written again as it was, and adds `user`, `item`, `fine` (the time in the
file's own unit), `value`, `weight` and the row's number. DataErrors name file, row and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from .atomic import fields
from .columns import INTERACTION_NAMES, Columns, located
from .dataset import PROVENANCE_COLUMNS
from .delimited import Format, header, opened, single_separator
from .files import File, one, refuse
from .json_lines import is_json_lines, record
from .table_form import TableForm, is_parquet, sequence_lines, text_form
from .times import PER_SECOND, check_moments, check_setting, from_texts, unit_of

Kind = Literal["delimited", "parquet", "atomic", "sequences", "lines"]
RAW = "raw:"
"""Before the name of each column of the file, in a chunk."""
CHUNK_ROWS = 250_000
_OPTIONAL = ("timestamp", "value", "weight", *PROVENANCE_COLUMNS)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LogFile:
    """How one log is written.

    names: the file's columns in order (`lines`: none). places: our name -> the file's. unit: of numeric times, or a
    format, iso, or order. form: separator, quotes, escape, encoding and header of text. typical: median time of the
    first rows, in `unit`; None where times are texts. line_end: as its first line ends. bom: whether the file begins
    with a byte order mark of UTF-8. Of kind `sequences`, a file without `item_id` in places has lines of `user item
    item ...`; one with it is RecBole's `.inter` with a list and a last item.
    """

    file: File
    kind: Kind
    names: tuple[str, ...]
    places: Mapping[str, str]
    unit: str
    form: Format = field(default_factory=Format)
    headless: bool = False
    typical: float | None = None
    line_end: str = "\n"
    bom: bool = False


def logged(
    path: str | Path,
    columns: Columns | None = None,
    *,
    time: str = "auto",
    separator: str | None = None,
    encoding: str = "utf-8",
    escape: str | None = None,
    sequences: bool = False,
    quoted: bool = False,
    names: tuple[str, ...] = (),
) -> LogFile:
    """How the log at `path` is written: CSV, TSV and other delimited text, Parquet, JSON lines, RecBole's `.inter` (one
    row an interaction, or one a user), or lines of `user item item ...`; text may be under gzip.

    columns, time, separator, encoding, escape, sequences as `read_table` takes them; names, quoted: the header that an
    `.inter` lacks and its quotes, as `read_atomic` does. Raises DataError for a file of another kind or without users
    and items.
    """
    check_setting(time)
    if Path(path).suffix == ".zip":
        raise DataError(f"{path} is an archive; unpack it and give the log in it")
    file = one(path)
    base = file.name.removesuffix(".gz")
    columns = columns or {}
    form = TableForm(separator, encoding, escape, sequences, time)
    if sequences:
        log = _sequence_log(file, form)
    elif is_parquet(file):
        log = _parquet_log(file, columns, time)
    elif is_json_lines(file):
        log = _json_log(file, columns, time)
    elif base.endswith(".inter"):
        log = _atomic_log(file, Format("\t", quoted, encoding, names or None), columns, time)
    else:
        written = text_form(file, columns, form)
        present = tuple(header(file, written))
        places = located(file, present, columns, ("user_id", "item_id"), _OPTIONAL, known=INTERACTION_NAMES)
        log = LogFile(file, "delimited", present, places, time, written, headless=written.names is not None)
    return _timed(_with_line_ends(log))


def chunks(log: LogFile) -> Iterator[pa.Table]:
    """The log, at most CHUNK_ROWS rows at a time: `user`, `item` (text, or whole numbers of Parquet), `fine` (number),
    `value`, `weight` (float32), `row` (int64, from 0), provenance where the file has it, and every column of the file
    as `raw:<name>`. A log of sequences has `items` (list) in place of `item`, and no raw columns but the user's."""
    row = 0
    for table in _tables(log):
        yield _understood(log, table, row)
        row += table.num_rows


def _sequence_log(file: File, form: TableForm) -> LogFile:
    with file.open() as stream:
        tabs = b"\t" in next(iter(stream), b"")
    sign = form.separator or ("\t" if tabs else " ")
    written = Format(sign, quoted=False, encoding=form.encoding, names=("user_id", "item_id_list"))
    places = {"user_id": "user_id", "item_id_list": "item_id_list"}
    return LogFile(file, "sequences", ("user_id", "item_id_list"), places, "order", written, headless=True)


def _parquet_log(file: File, columns: Columns, time: str) -> LogFile:
    schema = parquet.ParquetFile(file.path).schema_arrow
    names = tuple(schema.names)
    lists = [name for name in names if pa.types.is_list(schema.field(name).type)]
    try:
        places = located(file, names, columns, ("user_id", "item_id"), _OPTIONAL, known=INTERACTION_NAMES)
    except DataError as error:
        if lists:
            raise _lists(file, lists[0]) from error
        raise
    if places["item_id"] in lists:
        raise _lists(file, places["item_id"])
    return LogFile(file, "parquet", names, places, time)


def _lists(file: File, column: str) -> DataError:
    return DataError(
        f"{file}: column {column!r} holds lists; a log to refine has a row an interaction: write one with "
        f"`recloop data convert table {file} LOG.parquet --set columns.item_id={column}`"
    )


def _atomic_log(file: File, form: Format, columns: Columns, time: str) -> LogFile:
    typed = fields(file, form)
    optional = ("item_id_list", *_OPTIONAL)
    theirs = located(file, tuple(typed), columns, ("user_id", "item_id"), optional, known=INTERACTION_NAMES)
    places = {ours: typed[name][0] for ours, name in theirs.items()}
    raw = tuple(column for column, _ in typed.values())
    kind: Kind = "sequences" if "item_id_list" in places else "atomic"
    return LogFile(file, kind, raw, places, time, form, headless=form.names is not None)


def _json_log(file: File, columns: Columns, time: str) -> LogFile:
    with file.open() as stream:
        first = record(file, 1, next(iter(stream), b"").decode("utf-8-sig", "replace").strip() or "{}")
    places = located(file, list(map(str, first)), columns, ("user_id", "item_id"), _OPTIONAL, known=INTERACTION_NAMES)
    if isinstance(first[places["item_id"]], list):
        raise _lists(file, places["item_id"])
    places |= {name: name for name in ("weight", *PROVENANCE_COLUMNS)}
    return LogFile(file, "lines", (), places, time)


def _with_line_ends(log: LogFile) -> LogFile:
    if log.kind == "parquet":
        return log
    with log.file.open() as stream:
        start = stream.read(1 << 16)
    line_feed, carriage = start.find(b"\n"), start.find(b"\r")
    end = "\n"
    if carriage >= 0 and (line_feed < 0 or carriage < line_feed):
        end = "\r\n" if line_feed == carriage + 1 else "\r"
    if log.kind == "lines" and end == "\r":
        end = "\n"
    return replace(log, line_end=end, bom=start.startswith(_BOM))


def _tables(log: LogFile) -> Iterator[pa.Table]:
    if log.kind == "parquet":
        with parquet.ParquetFile(log.file.path) as table:
            for batch in table.iter_batches(batch_size=CHUNK_ROWS):
                yield pa.Table.from_batches([batch])
        return
    if log.kind == "lines":
        yield from _line_tables(log)
        return
    if "item_id_list" in log.places and "item_id" not in log.places:
        yield from _sequence_tables(log)
        return
    try:
        with opened(log.file, log.form) as stream:
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
                    delimiter=single_separator(log.form),
                    quote_char='"' if log.form.quoted else False,
                    newlines_in_values=log.form.quoted,
                    escape_char=log.form.escape or False,
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


def _sequence_tables(log: LogFile) -> Iterator[pa.Table]:
    users: list[str] = []
    items: list[list[str]] = []
    separator = None if log.form.separator == " " else log.form.separator
    kind = pa.schema([("user_id", pa.string()), ("item_id_list", pa.list_(pa.string()))])
    for _, (user, *taken) in sequence_lines(log.file, TableForm(separator, log.form.encoding)):
        users.append(user)
        items.append(taken)
        if len(users) == CHUNK_ROWS // 5:
            yield pa.table([users, items], schema=kind)
            users, items = [], []
    if users:
        yield pa.table([users, items], schema=kind)


def _line_tables(log: LogFile) -> Iterator[pa.Table]:
    lines: list[str] = []
    with log.file.open() as stream:
        for raw in stream:
            text = raw.decode("utf-8", "surrogateescape").rstrip("\r\n").removeprefix("\ufeff")
            if text.strip():
                lines.append(text)
            if len(lines) == CHUNK_ROWS // 5:
                yield pa.table({"line": pa.array(lines, pa.string())})
                lines = []
    if lines:
        yield pa.table({"line": pa.array(lines, pa.string())})


def _understood(log: LogFile, table: pa.Table, row: int) -> pa.Table:
    """The columns that recloop reads, made from those of the file."""
    raw = {f"{RAW}{name}": table[name] for name in table.column_names}
    if log.kind == "lines":
        table = _opened_lines(log, table, row)
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


def _opened_lines(log: LogFile, table: pa.Table, row: int) -> pa.Table:
    wanted = list(log.places.values())
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    for at, line in enumerate(table["line"].to_pylist()):
        try:
            fields = json.loads(line)
            values = [
                fields.get(name) if name in PROVENANCE_COLUMNS or name == "weight" else fields[name] for name in wanted
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{log.file}: record {row + at + 1} is not JSON with {', '.join(wanted)} ({error}); mend or remove it"
            ) from None
        for name, value in zip(wanted, values, strict=True):
            columns[name].append(None if value is None else str(value))
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


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


def _timed(log: LogFile) -> LogFile:
    """The log with the unit of its times and their typical size, from its first rows."""
    if log.kind == "sequences" or "timestamp" not in log.places or log.unit == "order":
        return replace(log, unit="order")
    first = next(_tables(log), None)
    if first is None or not first.num_rows:
        raise DataError(f"{log.file}: no interactions; the file holds no row under its header")
    if log.kind == "lines":
        first = _opened_lines(log, first, 0)
    column = first[log.places["timestamp"]].to_pandas()
    numbers = None if column.dtype.kind == "M" else pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    unit = log.unit
    if unit == "auto":
        unit = "iso" if numbers is None or np.isnan(numbers[:1]).any() else unit_of(numbers[~np.isnan(numbers)])
    typical = float(np.nanmedian(numbers)) if unit in PER_SECOND and numbers is not None else None
    return replace(log, unit=unit, typical=typical)
