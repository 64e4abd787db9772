"""Reads any table (CSV, TSV, Parquet) whose columns are named by a map from our names to the file's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...errors import DataError
from .assemble import Twice, assemble
from .dataset import PROVENANCE_COLUMNS, Dataset
from .delimited import ID, Format, find_fault, first_row, header, read, require
from .files import File, one
from .times import check_setting, from_numbers, from_texts, one_moment

Columns = Mapping[str, str | int]
"""From our name to the file's, as {"user_id": "reviewer"}; a number is a position (from 0) in a file without header."""

ALIASES = {
    "user_id": ("userId", "user", "reviewerID"),
    "item_id": ("itemId", "movieId", "item", "asin", "parent_asin"),
    "timestamp": ("time", "unixReviewTime"),
    "value": ("rating", "overall"),
    "title": ("movie_title", "item_title", "product_title", "name"),
    "categories": ("category", "genres", "genre", "class"),
}
"""Names taken for ours where the map does not say otherwise and our own name is absent."""

_NUMBERS = {"value": pa.float32(), "weight": pa.float32(), "confidence": pa.float32()}
_TEXTS = tuple(c for c in PROVENANCE_COLUMNS if c not in _NUMBERS)


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
    encoding: str = "utf-8",
    twice: Twice = "error",
    name: str | None = None,
) -> Dataset:
    """The interactions of one file, with the texts of an items and a users file where they are given.

    `columns` maps `user_id`, `item_id` and, where the file has them, `timestamp` and `value`; names that are ours (or
    in `ALIASES`) need no entry. `weight` and provenance columns are read where present; others are left out of the
    interactions, but all columns of items and users are kept. Without a timestamp the row order is the time.
    `time` is one of `times.SETTINGS` or a strptime format. `separator` is told from the name (`.tsv` and `.tab` are
    tab-separated) unless given. Ids of text files stay text, exactly as written; those of Parquet keep their type.
    DataError names file, line, column and remedy.
    """
    check_setting(time)
    file = one(path)
    form = _form(file, columns, separator, encoding)
    interactions = (
        _parquet_interactions(file, columns or {}, time)
        if _is_parquet(file)
        else _text_interactions(file, columns or {}, time, form)
    )
    return assemble(
        name or file.name.split(".")[0],
        interactions,
        None if items is None else described(one(items), "item_id", item_columns or {}, separator, encoding),
        None if users is None else described(one(users), "user_id", user_columns or {}, separator, encoding),
        source=file,
        items_source=items,
        users_source=users,
        twice=twice,
    )


def described(file: File, key: str, columns: Columns, separator: str | None, encoding: str) -> pd.DataFrame:
    """A table of items or users: `key` (`item_id` or `user_id`) and every other column, mapped ones under our names.

    Columns of a text file are whole numbers or real numbers where all their values are, text otherwise.
    """
    if _is_parquet(file):
        table = _open_parquet(file).read()
        places = _places(file, table.column_names, columns, (key,), ("title", "categories"))
        frame = table.to_pandas()
    else:
        form = _form(file, columns, separator, encoding)
        names = header(file, form)
        places = _places(file, names, columns, (key,), ("title", "categories"))
        kinds = {name: ID if name == places[key] else pa.string() for name in names}
        frame = read(file, kinds, form).to_pandas()
        for name in names:
            if name not in places.values():
                frame[name] = _narrowed(frame[name])
    frame = frame.rename(columns={theirs: ours for ours, theirs in places.items()})
    frame[key] = _whole_ids(frame[key], file, places[key])
    for column in frame.columns.drop(key):
        if frame[column].dtype.kind not in "iufb":
            frame[column] = frame[column].map(_text).astype(str)
    return frame


def _text_interactions(file: File, columns: Columns, time: str, form: Format) -> pd.DataFrame:
    names = header(file, form)
    places = _places(
        file, names, columns, ("user_id", "item_id"), ("timestamp", "value", "weight", *PROVENANCE_COLUMNS)
    )
    if time == "order":
        places.pop("timestamp", None)
    kinds: dict[str, pa.DataType] = {}
    for ours, theirs in places.items():
        kinds[theirs] = ID if ours in ("user_id", "item_id") else _NUMBERS.get(ours, pa.string())
    clock = places.get("timestamp")
    if clock is not None and _numeric(first_row(file, form).get(clock, ""), time):
        kinds[clock] = pa.float64()
    checks = {} if clock is None or kinds[clock] != pa.string() else {clock: lambda text: one_moment(text, time)}
    gaps = [places["confidence"]] if "confidence" in places else []
    table = read(file, kinds, form, checks, gaps)
    frame = table.rename_columns(list(places)).to_pandas(split_blocks=True, self_destruct=True)
    if clock is None:
        return frame
    try:
        return _clocked(frame, time)
    except ValueError as error:
        find_fault(file, kinds, form, checks, str(error))


def _parquet_interactions(file: File, columns: Columns, time: str) -> pd.DataFrame:
    opened = _open_parquet(file)
    places = _places(
        file,
        opened.schema_arrow.names,
        columns,
        ("user_id", "item_id"),
        ("timestamp", "value", "weight", *PROVENANCE_COLUMNS),
    )
    if time == "order":
        places.pop("timestamp", None)
    table = opened.read(columns=list(places.values())).select(list(places.values())).rename_columns(list(places))
    for ours in ("user_id", "item_id", "timestamp", "value", "weight"):
        if ours in places and table[ours].null_count:
            row = table[ours].is_null().to_pylist().index(True) + 1
            raise DataError(f"{file}: row {row}, column {places[ours]!r} is null; fill or remove the row")
    frame = table.to_pandas()
    for ours in ("user_id", "item_id"):
        frame[ours] = _whole_ids(frame[ours], file, places[ours])
    for ours in ("value", "weight"):
        if ours in frame:
            frame[ours] = pd.to_numeric(frame[ours], errors="coerce").astype(np.float32)
            if not np.isfinite(frame[ours]).all():
                row = int(np.flatnonzero(~np.isfinite(frame[ours]))[0]) + 1
                raise DataError(
                    f"{file}: row {row}, column {places[ours]!r} is not a finite number; mend or remove the row"
                )
    if "timestamp" not in frame:
        return frame
    try:
        return _clocked(frame, time)
    except ValueError as error:
        raise DataError(f"{file}: column {places['timestamp']!r}: {error}; mend it, or set `time`") from error


def _clocked(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    column = frame["timestamp"]
    if column.dtype.kind == "M":
        aware = pd.to_datetime(column, utc=True).to_numpy("datetime64[ns]")
        whole, order = from_numbers(aware.astype(np.int64), "ns")
    elif column.dtype.kind in "iuf":
        if time not in ("auto", "s", "ms", "us", "ns"):
            raise ValueError(f"holds numbers, `time: {time}` asks for text")
        if not np.isfinite(column.to_numpy()).all():
            raise ValueError("holds a time that is not finite")
        whole, order = from_numbers(column.to_numpy(), time)
    else:
        whole, order = from_texts(column, time)
    frame["timestamp"] = whole
    return frame if order is None else frame.take(order)


def _places(
    file: File, names: list[str], columns: Columns, needed: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, str]:
    """Our names -> the file's, for the needed columns, those in the map, and optional ones that are there."""
    mapped = {ours: str(theirs) for ours, theirs in columns.items()}
    require(file, names, list(mapped.values()))
    places = {}
    for ours in dict.fromkeys((*needed, *mapped, *optional)):
        usual = (mapped[ours],) if ours in mapped else (ours, *ALIASES.get(ours, ()))
        free = [name for name in usual if name in names and (ours in mapped or name not in mapped.values())]
        if free:
            places[ours] = free[0]
        elif ours in needed:
            require(file, names, [ours])
    return places


def _form(file: File, columns: Columns | None, separator: str | None, encoding: str) -> Format:
    base = file.name.removesuffix(".gz")
    separator = separator or ("\t" if base.endswith((".tsv", ".tab", ".txt")) else ",")
    if not columns or not any(isinstance(place, int) for place in columns.values()):
        return Format(separator, encoding=encoding)
    fields = len(header(file, Format(separator, encoding=encoding)))
    return Format(separator, encoding=encoding, names=tuple(map(str, range(fields))))


def _is_parquet(file: File) -> bool:
    return file.name.endswith((".parquet", ".pq"))


def _open_parquet(file: File) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(file.path)
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


def _whole_ids(column: pd.Series, file: File, name: str) -> pd.Series:
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
