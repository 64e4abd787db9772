"""`read_table`: one table (delimited text, Parquet, JSON lines) as a Dataset, with its items and users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from .assemble import Twice, assemble
from .columns import Columns
from .dataset import Dataset
from .descriptions import described
from .files import one
from .table_form import Events, TableForm, separator_if_present
from .table_rows import interactions_of
from .times import check_setting


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
        of_items = replace(form, separator=items_separator or separator_if_present(one(items), form))
        item_table = described(one(items), "item_id", item_columns or {}, of_items, raw_texts=raw_texts)
    user_table = None
    if users is not None:
        of_users = replace(form, separator=separator_if_present(one(users), form))
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
