"""Tables that describe items or users: their ids and every other column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from .columns import Columns, located
from .delimited import ID, header, read
from .files import File
from .json_lines import is_json_lines, records
from .markup import without_markup
from .table_cleaning import whole_ids
from .table_form import TableForm, is_parquet, open_parquet, text_form


def described(file: File, key: str, columns: Columns, form: TableForm, *, raw_texts: bool = False) -> pd.DataFrame:
    """A table of items or users: `key` (`item_id` or `user_id`) and every other column, mapped ones under our names.

    Columns of a text file are whole numbers or real numbers where all their values are, text otherwise.
    """
    setting = "item_columns" if key == "item_id" else "user_columns"
    texts = ("title", "categories") if key == "item_id" else ()
    if is_parquet(file):
        frame = open_parquet(file).read().to_pandas()
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
    frame[key] = whole_ids(frame[key], source, places[key])
    for column in frame.columns.drop(key):
        if frame[column].dtype.kind not in "iufb":
            frame[column] = frame[column].map(_text).astype(str)
    return frame if raw_texts else without_markup(frame, key)


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


def _text(value: object) -> str:
    """A cell as text: lists joined by ", ", nothing as the empty text."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(str, value))
    return str(value)
