"""The interactions of one file, a row each: delimited text, Parquet, JSON lines, or lines of sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ...errors import DataError
from .columns import ALIASES, INTERACTION_NAMES, Columns, located, require
from .dataset import PROVENANCE_COLUMNS
from .delimited import ID, find_fault, first_row, header, read
from .files import File
from .json_lines import is_json_lines, records
from .table_cleaning import EVENT, NUMBERS, absent, bad_moment, cleaned, clocked, filtered, number_of_time
from .table_form import TableForm, is_parquet, open_parquet, sequence_lines, text_form
from .times import one_moment

_LOG_COLUMNS = (("user_id", "item_id"), ("timestamp", "value", "weight", *PROVENANCE_COLUMNS))


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


def _text_interactions(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, int]]:
    written = text_form(file, columns, form)
    names = header(file, written)
    places = located(file, names, columns, *_LOG_COLUMNS, known=INTERACTION_NAMES)
    _one_row_each(places, file)
    if form.time == "order":
        places.pop("timestamp", None)
    kinds: dict[str, pa.DataType] = {}
    for ours, theirs in places.items():
        kinds[theirs] = ID if ours in ("user_id", "item_id") else NUMBERS.get(ours, pa.string())
    clock = places.get("timestamp")
    gaps = [places["confidence"]] if "confidence" in places else []
    checks: dict[str, Callable[[str], object]] = {}
    if clock is not None and _numeric(first_row(file, written).get(clock, ""), form.time):
        kinds[clock] = pa.float64()
        gaps += [clock] if form.without_time == "drop" else []
        if form.without_time == "error":
            checks[clock] = number_of_time
    if clock is not None and kinds[clock] == pa.string():
        optional = form.without_time == "drop"
        checks[clock] = lambda text: 0.0 if optional and absent(text) else one_moment(text, form.time)
    if form.events is not None:
        require(file, names, [str(form.events.column)], "events.column")
        kinds.setdefault(str(form.events.column), pa.string())
    table = read(file, kinds, written, checks, gaps)
    named = {theirs: ours for ours, theirs in places.items()}
    labels = [named.get(theirs, EVENT) for theirs in kinds]
    frame = table.rename_columns(labels).to_pandas(split_blocks=True, self_destruct=True)
    if form.events is not None and EVENT not in frame:
        frame[EVENT] = frame[named[str(form.events.column)]]
    frame, left_out = filtered(frame, file, form)
    if clock is None:
        return frame, left_out
    try:
        return clocked(frame, form.time), left_out
    except ValueError as error:
        if str(error).startswith("row "):
            raise bad_moment(file, clock, error) from error
        find_fault(file, kinds, written, checks, str(error))


def _parquet_interactions(file: File, columns: Columns, form: TableForm) -> tuple[pd.DataFrame, dict[str, str]]:
    opened = open_parquet(file)
    names = list(opened.schema_arrow.names)
    places = _log_places(file, names, columns, form)
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
    places = _log_places(file, names, columns, form)
    gaps = {"weight", *PROVENANCE_COLUMNS, EVENT, *(["timestamp"] if form.without_time == "drop" else [])}
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


def _log_places(file: File, names: Sequence[str], columns: Columns, form: TableForm) -> dict[str, str]:
    """Our name -> the file's, of a log whose rows may hold lists; with the column of events where the form has one."""
    places = located(file, names, _listed_items(columns, names), *_LOG_COLUMNS, known=INTERACTION_NAMES)
    if form.time == "order":
        places.pop("timestamp", None)
    places.pop("item_id_list", None)
    if form.events is not None:
        require(file, names, [str(form.events.column)], "events.column")
        places[EVENT] = str(form.events.column)
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


def _column(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=object).infer_objects()


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
