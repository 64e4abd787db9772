"""Makes a `Dataset` of pandas DataFrames, and holds those that a study names as its source.

A study is stored as text, so a DataFrame in it is named by a digest of its content (`frame:<digest>`) and held in this
process: equal frames are the same data, and a study that is read in another process has to be given its frame again.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import pandas as pd

from ...errors import DataError
from .assemble import Twice, assemble
from .columns import INTERACTION_NAMES, Columns, located, require
from .dataset import PROVENANCE_COLUMNS, Dataset
from .descriptions import described_frame
from .table_cleaning import cleaned
from .table_form import Events, TableForm
from .times import check_setting

FRAME = "frame"
_SOURCE = "the DataFrame"
_frames: dict[str, pd.DataFrame] = {}


def read_frame(
    frame: pd.DataFrame,
    columns: Columns | None = None,
    *,
    items: pd.DataFrame | None = None,
    item_columns: Columns | None = None,
    users: pd.DataFrame | None = None,
    user_columns: Columns | None = None,
    time: str = "auto",
    without_time: Literal["error", "drop"] = "error",
    events: Events | None = None,
    raw_texts: bool = False,
    twice: Twice = "error",
    name: str = FRAME,
) -> Dataset:
    """The interactions of a DataFrame, a row each, with the texts of frames of items and users where they are given.

    The arguments are those of `read_table`; a number in `columns` is a position. Without a timestamp the row order is
    the time. The frame is not changed. DataError names row, column and remedy.
    """
    check_setting(time)
    form = TableForm(time=time, without_time=without_time, events=events)
    plain, mapped = _named(frame, columns or {})
    if not len(plain):
        raise DataError(f"{_SOURCE} has no rows; give a row an interaction")
    places = located(
        _SOURCE,
        [str(column) for column in plain.columns],
        mapped,
        ("user_id", "item_id"),
        ("timestamp", "value", "weight", *PROVENANCE_COLUMNS),
        known=INTERACTION_NAMES,
    )
    if time == "order":
        places.pop("timestamp", None)
    rows = {ours: plain[theirs] for ours, theirs in places.items()}
    if events is not None:
        column = plain.columns[events.column] if isinstance(events.column, int) else events.column
        require(_SOURCE, list(plain.columns), [column], "events.column")
        rows["event:kind"] = plain[column]
    interactions, left_out = cleaned(pd.DataFrame(rows).reset_index(drop=True), _SOURCE, places, form)
    for ours in ("user_id", "item_id"):
        if interactions[ours].dtype.kind not in "iu":
            interactions[ours] = interactions[ours].astype(str)
    return assemble(
        name,
        interactions,
        None if items is None else _described(items, "item_id", item_columns or {}, raw_texts),
        None if users is None else _described(users, "user_id", user_columns or {}, True),
        source=_SOURCE,
        items_source="the DataFrame of items",
        users_source="the DataFrame of users",
        twice=twice,
        left_out=left_out,
    )


def hold_frame(frame: pd.DataFrame) -> str:
    """The name of a DataFrame, `frame:<digest of its content>`; this process holds a copy of it under that name."""
    digest = hashlib.sha256(repr([(str(name), str(kind)) for name, kind in frame.dtypes.items()]).encode())
    for column in range(frame.shape[1]):
        values = frame.iloc[:, column]
        if values.dtype.kind not in "iufbM":
            values = values.map(repr)
        digest.update(pd.util.hash_array(values.to_numpy()).tobytes())
    name = f"{FRAME}:{digest.hexdigest()[:16]}"
    _frames.setdefault(name, frame.copy())
    return name


def held_frame(name: str) -> pd.DataFrame:
    """The DataFrame of that name. DataError when this process does not hold it."""
    if name not in _frames:
        raise DataError(
            f"{name} is a DataFrame of another process; pass the same DataFrame again, or write it to a file "
            "(to_parquet) and name that as `source: table` with its `path`"
        )
    return _frames[name]


def is_frame(source: object) -> bool:
    """Whether a source is the name of a DataFrame."""
    return str(source).startswith(f"{FRAME}:")


def _named(frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, dict[str, str]]:
    """The frame with columns named by text, and the map with positions replaced by those names."""
    names = [str(column) for column in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{_SOURCE} has two columns {twice[0]!r}; rename one")
    mapped: dict[str, str] = {}
    for ours, theirs in columns.items():
        if isinstance(theirs, int) and theirs not in frame.columns:
            if not 0 <= theirs < len(names):
                raise DataError(f"{_SOURCE} has {len(names)} columns, none at position {theirs} (the first is 0)")
            theirs = names[theirs]
        mapped[ours] = str(theirs)
    return frame.set_axis(names, axis=1), mapped


def _described(frame: pd.DataFrame, key: str, columns: Columns, raw_texts: bool) -> pd.DataFrame:
    plain, mapped = _named(frame, columns)
    texts = ("title", "categories") if key == "item_id" else ()
    setting = "item_columns" if key == "item_id" else "user_columns"
    source = f"the DataFrame of {key.removesuffix('_id')}s"
    names = [str(column) for column in plain.columns]
    return described_frame(plain, key, located(source, names, mapped, (key,), texts, setting=setting), source,
                           raw_texts=raw_texts)  # fmt: skip
