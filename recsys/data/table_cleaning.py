"""From the cells of a table to typed interactions: ids, numbers, lists, events, moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from ...errors import DataError
from .table_form import TableForm
from .times import from_numbers, from_texts

NUMBERS = {"value": pa.float32(), "weight": pa.float32(), "confidence": pa.float32()}
EVENT = "event:kind"
_NULLS = frozenset(arrow_csv.ConvertOptions().null_values)


def cleaned(
    frame: pd.DataFrame, source: object, places: Mapping[str, str], form: TableForm
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Typed interactions of a frame with our names, and how many rows were left out by which setting.

    Lists in the item column are unrolled; ids must be there, values finite, moments readable. DataError names the row.
    """
    frame = _unrolled(frame, source, places)
    frame, left_out = filtered(frame, source, form)
    for ours in ("user_id", "item_id"):
        frame[ours] = whole_ids(frame[ours], source, places[ours])
    for ours in NUMBERS:
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
        return clocked(frame, form.time), left_out
    except ValueError as error:
        raise bad_moment(source, places["timestamp"], error) from error


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


def filtered(frame: pd.DataFrame, source: object, form: TableForm) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of the kept events that have a moment, and how many were left out; the frame's index stays the file's."""
    left_out: dict[str, int] = {}
    if form.events is not None:
        kinds = frame.pop(EVENT).astype(str)
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
        missing = clock.isna() if clock.dtype.kind in "iufM" else clock.isna() | clock.map(absent).astype(bool)
        left_out["without_time"] = int(missing.sum())
        frame = frame[~missing.to_numpy(bool)]
    return frame, left_out


def clocked(frame: pd.DataFrame, time: str) -> pd.DataFrame:
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


def bad_moment(source: object, column: str, error: ValueError) -> DataError:
    return DataError(
        f"{source}: column {column!r}: {error}; mend or remove the row, or name the unit or form under `time` "
        "(`without_time: drop` leaves out rows without a moment)"
    )


def number_of_time(text: str) -> float:
    if absent(text):
        raise ValueError("is no moment (`without_time: drop` leaves such rows out)")
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def absent(value: object) -> bool:
    return isinstance(value, str) and value.strip() in ("", *_NULLS)


def whole_ids(column: pd.Series, file: object, name: str) -> pd.Series:
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
