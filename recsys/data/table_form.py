"""How a table is written: separator, escapes, lists, events and moments, and what its file tells of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
from pyarrow import parquet
from pydantic import BaseModel, ConfigDict, field_validator

from ...errors import DataError
from .columns import Columns
from .delimited import Format, separator_of, width
from .files import File
from .json_lines import is_json_lines, lines


class Events(BaseModel):
    """Which rows of a log of several kinds of event are interactions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | int
    """The file's column that names the kind of event; a position from 0 in a file without header."""
    keep: tuple[str, ...]
    """The kinds that are kept, as the file writes them."""

    @field_validator("keep", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        values = value if isinstance(value, list | tuple) else [value]
        return tuple(str(one) for one in values)


@dataclass(frozen=True)
class TableForm:
    """How a table of interactions is written, where its name and its first line do not tell.

    separator: None for the one that the first line has. escape: the character before a quote or a separator inside a
    field. sequences: a line is a user and then the user's items, oldest first (`u i i i`), without a header. time:
    one of `times.SETTINGS` or a strptime format. without_time: `drop` leaves rows without a moment out. events: keeps
    the rows of some kinds of event only.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    escape: str | None = None
    sequences: bool = False
    time: str = "auto"
    without_time: Literal["error", "drop"] = "error"
    events: Events | None = None


def text_form(file: File, columns: Columns, form: TableForm) -> Format:
    """How a delimited file is written: its separator found where none is given, its columns numbered without header."""
    separator = form.separator or separator_of(file, form.encoding)
    written = Format(separator, encoding=form.encoding, escape=form.escape)
    positions = [*columns.values(), *([form.events.column] if form.events else [])]
    if not any(isinstance(place, int) for place in positions):
        return written
    return replace(written, names=tuple(map(str, range(width(file, written)))))


def is_parquet(file: File) -> bool:
    return file.name.endswith((".parquet", ".pq"))


def open_parquet(file: File) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(file.path if file.member is None else io.BytesIO(file.open().read()))
    except pa.ArrowInvalid as error:
        raise DataError(f"{file} is no whole Parquet file ({error}); write or download it again") from error


def sequence_lines(file: File, form: TableForm) -> Iterator[tuple[int, list[str]]]:
    """(line number, [user, item, item, ...]) of a file of sequences; fields stand between blanks, or `separator`."""
    for line, text in lines(file, form.encoding):
        yield line, [field for field in text.split(form.separator) if field]


def separator_if_present(file: File, form: TableForm) -> str | None:
    """The separator that was set for the log, if the first line of another table has it too."""
    if form.separator is None or is_parquet(file) or is_json_lines(file):
        return form.separator
    return form.separator if width(file, Format(form.separator, encoding=form.encoding)) > 1 else None
