"""`logged`: how a log is written, found from its name, the settings and its first rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...errors import DataError
from .atomic import fields
from .columns import INTERACTION_NAMES, Columns, located
from .dataset import PROVENANCE_COLUMNS
from .delimited import Format, header
from .files import File, one
from .json_lines import is_json_lines, record
from .log_file import Kind, LogFile, opened_lines, raw_tables
from .table_form import TableForm, is_parquet, text_form
from .times import PER_SECOND, check_setting, unit_of

_OPTIONAL = ("timestamp", "value", "weight", *PROVENANCE_COLUMNS)


_BOM = b"\xef\xbb\xbf"


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


def _timed(log: LogFile) -> LogFile:
    """The log with the unit of its times and their typical size, from its first rows."""
    if log.kind == "sequences" or "timestamp" not in log.places or log.unit == "order":
        return replace(log, unit="order")
    first = next(raw_tables(log), None)
    if first is None or not first.num_rows:
        raise DataError(f"{log.file}: no interactions; the file holds no row under its header")
    if log.kind == "lines":
        first = opened_lines(log, first, 0)
    column = first[log.places["timestamp"]].to_pandas()
    numbers = None if column.dtype.kind == "M" else pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    unit = log.unit
    if unit == "auto":
        unit = "iso" if numbers is None or np.isnan(numbers[:1]).any() else unit_of(numbers[~np.isnan(numbers)])
    typical = float(np.nanmedian(numbers)) if unit in PER_SECOND and numbers is not None else None
    return replace(log, unit=unit, typical=typical)
