"""`LogFile`: how one log is written, and its rows as the file has them, in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from ...errors import DataError
from .dataset import PROVENANCE_COLUMNS
from .delimited import Format, arrow_input, single_separator
from .files import File, refuse
from .table_form import TableForm, sequence_lines

Kind = Literal["delimited", "parquet", "atomic", "sequences", "lines"]


CHUNK_ROWS = 250_000


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


def raw_tables(log: LogFile) -> Iterator[pa.Table]:
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
        with arrow_input(log.file, log.form) as stream:
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


def opened_lines(log: LogFile, table: pa.Table, row: int) -> pa.Table:
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
