"""Reads tables (delimited text, Parquet, JSON lines) whose columns a map from our names to the file's names."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from pydantic import BaseModel, ConfigDict, field_validator

from ...errors import DataError
from .assemble import Twice, assemble
from .columns import ALIASES, INTERACTION_NAMES, Columns, located, require
from .dataset import PROVENANCE_COLUMNS, Dataset
from .delimited import ID, Format, find_fault, first_row, header, read, separator_of, width
from .files import File, one
from .json_lines import is_json_lines, lines, records
from .markup import without_markup
from .times import check_setting, from_numbers, from_texts, one_moment

_NUMBERS = {"value": pa.float32(), "weight": pa.float32(), "confidence": pa.float32()}
_LOG_COLUMNS = (("user_id", "item_id"), ("timestamp", "value", "weight", *PROVENANCE_COLUMNS))
_EVENT = "event:kind"


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


def read_table(
    path: str | Path,
    columns: Columns | None = None,
    *,
    items: str | Path | None = None,
    item_columns: Columns | None = None,
    users: str | Path | None = None,
    user_columns: Columns | None = None,
    time: str = "auto",
    separator: str | None = None,
    items_separator: str | None = None,
    encoding: str = "utf-8",
    escape: str | None = None,
    sequences: bool = False,
    without_time: Literal["error", "drop"] = "error",
    events: Events | None = None,
    raw_texts: bool = False,
    twice: Twice = "error",
    name: str | None = None,
) -> Dataset:
    """The interactions of one file, with the texts of an items and a users file where they are given.

    The file is delimited text, Parquet, JSON lines, or any of these as the only file of a zip; text may be under gzip.
    `columns` maps `user_id`, `item_id` and, where the file has them, `timestamp` and `value`; names that are ours (or
    in `columns.ALIASES`) need no entry. `weight` and provenance columns are read where present; others are left out of
    the interactions, but all columns of items and users are kept. Without a timestamp the row order is the time.
    A row of Parquet or JSON whose item column is a list stands for that many interactions, in that order.
    The other arguments are those of `TableForm`; `items_separator` is that of the items table, where it differs.
    `raw_texts`: keep HTML entities and markup in the texts of items. Ids of text files stay text, exactly as written;
    those of Parquet keep their type. DataError names file, line, column and remedy.
    """
    form = TableForm(separator, encoding, escape, sequences, time, without_time, events)
    check_setting(time)
    file = one(path)
    interactions, left_out = interactions_of(file, columns or {}, form)
    item_table = None
    if items is not None:
        of_items = replace(form, separator=items_separator or _if_present(one(items), form))
        item_table = described(one(items), "item_id", item_columns or {}, of_items, raw_texts=raw_texts)
    user_table = None
    if users is not None:
        of_users = replace(form, separator=_if_present(one(users), form))
        user_table = described(one(users), "user_id", user_columns or {}, of_users, raw_texts=True)
    return assemble(
        name or file.name.split(".")[0],
        interactions,
        item_table,
        user_table,
        source=file,
        items_source=items,
        users_source=users,
        twice=twice,
        left_out=left_out,
    )


def interactions_of(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, int]]:
    """The interactions of a file, a row each, and how many rows were left out by which setting."""
    if form.sequences:
        return _sequences(file, form), {}
    if is_parquet(file):
        frame, places = _parquet_interactions(file, columns, form)
    elif is_json_lines(file):
        frame, places = _json_interactions(file, columns, form)
    else:
        return _text_interactions(file, columns, form)
    return cleaned(frame, file, places, form)


def cleaned(
    frame: pd.DataFrame, source: object, places: Mapping[str, str], form: TableForm
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Typed interactions of a frame with our names, and how many rows were left out by which setting.

    Lists in the item column are unrolled; ids must be there, values finite, moments readable. DataError names the row.
    """
    frame = _unrolled(frame, source, places)
    frame, left_out = _filtered(frame, source, form)
    for ours in ("user_id", "item_id"):
        frame[ours] = _whole_ids(frame[ours], source, places[ours])
    for ours in _NUMBERS:
        if ours in frame:
            numbers = pd.to_numeric(frame[ours], errors="coerce").astype(np.float32)
            bad = ~np.isfinite(numbers.to_numpy())
            if ours == "confidence":
                bad &= frame[ours].notna().to_numpy() & (frame[ours].astype(str) != "").to_numpy()
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise DataError(
                    f"{source}: row {row + 1}, column {places[ours]!r}: {frame[ours].iloc[row]!r} is not a finite "
                    "number; mend or remove the row"
                )
            frame[ours] = numbers
    if "timestamp" not in frame:
        return frame, left_out
    try:
        return _clocked(frame, form.time), left_out
    except ValueError as error:
        raise _bad_time(source, places["timestamp"], error) from error


def described(file: File, key: str, columns: Columns, form: TableForm, *, raw_texts: bool = False) -> pd.DataFrame:
    """A table of items or users: `key` (`item_id` or `user_id`) and every other column, mapped ones under our names.

    Columns of a text file are whole numbers or real numbers where all their values are, text otherwise.
    """
    setting = "item_columns" if key == "item_id" else "user_columns"
    texts = ("title", "categories") if key == "item_id" else ()
    if is_parquet(file):
        frame = _open_parquet(file).read().to_pandas()
        places = located(file, [str(name) for name in frame.columns], columns, (key,), texts, setting=setting)
    elif is_json_lines(file):
        frame = pd.DataFrame([record for _, record in records(file)])
        places = located(file, [str(name) for name in frame.columns], columns, (key,), texts, setting=setting)
    else:
        written = text_form(file, columns, form)
        names = header(file, written)
        places = located(file, names, columns, (key,), texts, setting=setting)
        kinds = {name: ID if name == places[key] else pa.string() for name in names}
        frame = read(file, kinds, written).to_pandas()
        for name in names:
            if name not in places.values():
                frame[name] = _narrowed(frame[name])
    return described_frame(frame, key, places, file, raw_texts=raw_texts)


def described_frame(
    frame: pd.DataFrame, key: str, places: Mapping[str, str], source: object, *, raw_texts: bool = False
) -> pd.DataFrame:
    """The frame under our names: ids whole, everything that is no number as text (lists joined by ", ")."""
    frame = frame.rename(columns={theirs: ours for ours, theirs in places.items()})
    frame[key] = _whole_ids(frame[key], source, places[key])
    for column in frame.columns.drop(key):
        if frame[column].dtype.kind not in "iufb":
            frame[column] = frame[column].map(_text).astype(str)
    return frame if raw_texts else without_markup(frame, key)


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


def sequence_lines(file: File, form: TableForm) -> Iterator[tuple[int, list[str]]]:
    """(line number, [user, item, item, ...]) of a file of sequences; fields stand between blanks, or `separator`."""
    for line, text in lines(file, form.encoding):
        yield line, [field for field in text.split(form.separator) if field]


def _sequences(file: File, form: TableForm) -> pd.DataFrame:
    users: dict[str, int] = {}
    who: list[str] = []
    what: list[str] = []
    when: list[int] = []
    for line, (user, *items) in sequence_lines(file, form):
        if user in users:
            raise DataError(
                f"{file}: line {line}: user {user!r} stands in line {users[user]} too; give one line a user"
            )
        users[user] = line
        who += [user] * len(items)
        what += items
        when += range(len(items))
    columns = {"user_id": np.array(who, object), "item_id": np.array(what, object)}
    return pd.DataFrame({**columns, "timestamp": np.array(when, np.int64)})


def _text_interactions(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, int]]:
    written = text_form(file, columns, form)
    names = header(file, written)
    places = located(file, names, columns, *_LOG_COLUMNS, known=INTERACTION_NAMES)
    _one_row_each(places, file)
    if form.time == "order":
        places.pop("timestamp", None)
    kinds: dict[str, pa.DataType] = {}
    for ours, theirs in places.items():
        kinds[theirs] = ID if ours in ("user_id", "item_id") else _NUMBERS.get(ours, pa.string())
    clock = places.get("timestamp")
    gaps = [places["confidence"]] if "confidence" in places else []
    checks: dict[str, Callable[[str], object]] = {}
    if clock is not None and _numeric(first_row(file, written).get(clock, ""), form.time):
        kinds[clock] = pa.float64()
        gaps += [clock] if form.without_time == "drop" else []
        if form.without_time == "error":
            checks[clock] = _number_of_time
    if clock is not None and kinds[clock] == pa.string():
        optional = form.without_time == "drop"
        checks[clock] = lambda text: 0.0 if optional and _absent(text) else one_moment(text, form.time)
    if form.events is not None:
        require(file, names, [str(form.events.column)], "events.column")
        kinds.setdefault(str(form.events.column), pa.string())
    table = read(file, kinds, written, checks, gaps)
    named = {theirs: ours for ours, theirs in places.items()}
    labels = [named.get(theirs, _EVENT) for theirs in kinds]
    frame = table.rename_columns(labels).to_pandas(split_blocks=True, self_destruct=True)
    if form.events is not None and _EVENT not in frame:
        frame[_EVENT] = frame[named[str(form.events.column)]]
    frame, left_out = _filtered(frame, file, form)
    if clock is None:
        return frame, left_out
    try:
        return _clocked(frame, form.time), left_out
    except ValueError as error:
        if str(error).startswith("row "):
            raise _bad_time(file, clock, error) from error
        find_fault(file, kinds, written, checks, str(error))


def _parquet_interactions(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, str]]:
    opened = _open_parquet(file)
    names = list(opened.schema_arrow.names)
    places = _with_events(located(file, names, _listed_items(columns, names), *_LOG_COLUMNS, known=INTERACTION_NAMES),
                          names, file, form)  # fmt: skip
    table = opened.read(columns=list(dict.fromkeys(places.values())))
    for ours in ("user_id", "item_id", "timestamp", "value", "weight"):
        if ours == "timestamp" and form.without_time == "drop":
            continue
        if ours in places and table[places[ours]].null_count:
            row = table[places[ours]].is_null().to_pylist().index(True) + 1
            raise DataError(f"{file}: row {row}, column {places[ours]!r} is null; fill or remove the row")
    frame = table.to_pandas()
    return pd.DataFrame({ours: frame[theirs] for ours, theirs in places.items()}), places


def _json_interactions(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, str]]:
    _, first = next(records(file), (0, {}))
    if not first:
        raise DataError(f"{file}: no interactions; one JSON record a line was expected")
    names = list(map(str, first))
    places = _with_events(located(file, names, _listed_items(columns, names), *_LOG_COLUMNS, known=INTERACTION_NAMES),
                          names, file, form)  # fmt: skip
    gaps = {"weight", *PROVENANCE_COLUMNS, _EVENT, *(["timestamp"] if form.without_time == "drop" else [])}
    values: dict[str, list[Any]] = {ours: [] for ours in places}
    for line, fields in records(file):
        for ours, theirs in places.items():
            value = fields.get(theirs)
            if value is None and ours not in gaps:
                raise DataError(f"{file}: line {line} has no field {theirs!r}; mend or remove the line")
            if ours in ("user_id", "item_id") and not isinstance(value, list):
                value = str(value)
            values[ours].append(1.0 if ours == "weight" and value is None else value)
    return pd.DataFrame({ours: _column(column) for ours, column in values.items()}), places


def _column(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=object).infer_objects()


def _with_events(places: dict[str, str], names: Sequence[str], file: File, form: TableForm) -> dict[str, str]:
    if form.time == "order":
        places.pop("timestamp", None)
    places.pop("item_id_list", None)
    if form.events is not None:
        require(file, names, [str(form.events.column)], "events.column")
        places[_EVENT] = str(form.events.column)
    return places


def _listed_items(columns: Columns, names: Sequence[str]) -> Columns:
    """The map, with `item_id` mapped to a usual name of a column of lists where the file has no item column of ours."""
    theirs = columns.get("item_id_list", "item_ids" if "item_ids" in names else "item_id_list")
    has_item = any(name in names for name in ("item_id", *ALIASES["item_id"]))
    if "item_id" in columns or (has_item and "item_id_list" not in columns) or theirs not in names:
        return columns
    return {**{ours: name for ours, name in columns.items() if ours != "item_id_list"}, "item_id": theirs}


def _one_row_each(places: Mapping[str, str], file: File) -> None:
    if "item_id_list" in places:
        raise DataError(
            f"{file}: column {places['item_id_list']!r} is mapped to item_id_list, which .inter, Parquet and JSON "
            "files have; for lines of `user item item ...` set `sequences: true`"
        )


def _unrolled(frame: pd.DataFrame, source: object, places: Mapping[str, str]) -> pd.DataFrame:
    """A row an interaction, where a row holds a list of items (and of moments and values, of the same length)."""
    is_list = frame["item_id"].map(lambda cell: isinstance(cell, list | tuple | np.ndarray)).to_numpy(bool)
    if not is_list.any():
        return frame
    if not is_list.all():
        row = int(np.flatnonzero(~is_list)[0]) + 1
        raise DataError(f"{source}: row {row}, column {places['item_id']!r} is no list, as those of other rows are")
    lengths = frame["item_id"].map(len)
    listed = ["item_id"]
    for ours in frame.columns.drop(["item_id", "user_id"]):
        if not len(frame) or not isinstance(frame[ours].iloc[0], list | tuple | np.ndarray):
            continue
        other = frame[ours].map(len)
        if (other != lengths).any():
            row = int(np.flatnonzero((other != lengths).to_numpy())[0])
            raise DataError(
                f"{source}: row {row + 1}: {places[ours]!r} has {other.iloc[row]} entries, {places['item_id']!r} has "
                f"{lengths.iloc[row]}; both must be equally long"
            )
        listed.append(str(ours))
    plain = frame[lengths.to_numpy() > 0].explode(listed, ignore_index=True)
    return plain.assign(**{name: plain[name].infer_objects() for name in listed})


def _filtered(frame: pd.DataFrame, source: object, form: TableForm) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of the kept events that have a moment, and how many were left out; the frame's index stays the file's."""
    left_out: dict[str, int] = {}
    if form.events is not None:
        kinds = frame.pop(_EVENT).astype(str)
        wanted = kinds.isin(form.events.keep).to_numpy(bool)
        if not wanted.any():
            there = ", ".join(kinds.value_counts().index[:8])
            raise DataError(
                f"{source}: no row has one of {', '.join(form.events.keep)} in column {form.events.column!r} "
                f"(there are {there}); name others under `events.keep`"
            )
        left_out["other_events"] = int((~wanted).sum())
        frame = frame[wanted]
    if form.without_time == "drop" and "timestamp" in frame:
        clock = frame["timestamp"]
        absent = clock.isna() if clock.dtype.kind in "iufM" else clock.isna() | clock.map(_absent).astype(bool)
        left_out["without_time"] = int(absent.sum())
        frame = frame[~absent.to_numpy(bool)]
    return frame, left_out


def _number_of_time(text: str) -> float:
    if _absent(text):
        raise ValueError("is no moment (`without_time: drop` leaves such rows out)")
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _absent(value: object) -> bool:
    return isinstance(value, str) and value.strip() in ("", *_NULLS)


_NULLS = frozenset(arrow_csv.ConvertOptions().null_values)


def _bad_time(source: object, column: str, error: ValueError) -> DataError:
    return DataError(
        f"{source}: column {column!r}: {error}; mend or remove the row, or name the unit or form under `time` "
        "(`without_time: drop` leaves out rows without a moment)"
    )


def _clocked(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    column, rows = frame["timestamp"], frame.index.to_numpy(np.int64)
    if column.dtype.kind == "O":
        try:
            column = pd.to_numeric(column)
        except (ValueError, TypeError):
            column = column.astype(str)
    if column.dtype.kind == "M":
        aware = pd.to_datetime(column, utc=True).to_numpy("datetime64[ns]")
        whole, order = from_numbers(aware.astype(np.int64), "ns")
    elif column.dtype.kind in "iuf":
        if time not in ("auto", "s", "ms", "us", "ns"):
            raise ValueError(f"holds numbers, `time: {time}` asks for text")
        infinite = ~np.isfinite(column.to_numpy())
        if infinite.any():
            raise ValueError(f"row {rows[infinite][0] + 1} holds no finite time")
        whole, order = from_numbers(column.to_numpy(), time, rows)
    else:
        whole, order = from_texts(column, time)
    frame = frame.assign(timestamp=whole)
    return frame if order is None else frame.take(order)


def _if_present(file: File, form: TableForm) -> str | None:
    """The separator that was set for the log, if the first line of another table has it too."""
    if form.separator is None or is_parquet(file) or is_json_lines(file):
        return form.separator
    return form.separator if width(file, Format(form.separator, encoding=form.encoding)) > 1 else None


def _open_parquet(file: File) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(file.path if file.member is None else io.BytesIO(file.open().read()))
    except pa.ArrowInvalid as error:
        raise DataError(f"{file} is no whole Parquet file ({error}); write or download it again") from error


def _numeric(text: str, time: str) -> bool:
    if time in ("s", "ms", "us", "ns"):
        return True
    if time != "auto":
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _narrowed(column: pd.Series) -> pd.Series:
    """Whole or real numbers where every text is written as one and none would change by it (`007` would)."""
    for kind in (np.int64, np.float64):
        try:
            numbers = column.astype(kind)
        except (ValueError, OverflowError):
            continue
        if kind is np.float64 or (numbers.astype(str).to_numpy(object) == column.to_numpy(object)).all():
            return numbers
    return column


def _whole_ids(column: pd.Series, file: object, name: str) -> pd.Series:
    """Ids that a writer turned into real numbers (12.0) are made whole again; DataError when one is missing."""
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0]) + 1
        raise DataError(f"{file}: row {row}, column {name!r} is empty, but an id is needed; fill or remove the row")
    if column.dtype.kind != "f":
        return column
    whole = column.astype(np.int64)
    if (whole != column).any():
        row = int(np.flatnonzero(whole != column)[0]) + 1
        raise DataError(f"{file}: row {row}, column {name!r}: {column.iloc[row - 1]} is no id; name the right column")
    return whole


def _text(value: object) -> str:
    """A cell as text: lists joined by ", ", nothing as the empty text."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(str, value))
    return str(value)
