"""Builds a `Dataset` from the tables that a reader gives (interactions, items, users): joins ids and fills gaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...errors import DataError
from .dataset import Dataset

Twice = Literal["error", "first", "last"]
"""What becomes of an id that stands twice, with different contents, in a table of items or users."""


def assemble(
    name: str,
    interactions: pd.DataFrame,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    *,
    source: object,
    items_source: object = None,
    users_source: object = None,
    twice: Twice = "error",
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """What `Dataset.of` makes of `interactions`, with texts joined on, in little more memory than the columns take.

    For that the table of interactions is taken over: its columns are moved out, and it is empty afterwards. Ids may
    be categorical. An id that `items` or `users` do not list gets empty texts, -1 for a whole number, NaN for a real
    one. DataError when there is no interaction at all, or none of the ids of such a table occurs in the interactions
    (the files do not belong together). The messages name the file each table comes from: `source`, `items_source`,
    `users_source`.
    """
    if not len(interactions):
        raise DataError(f"{source}: no interactions; the file holds no row under its header")
    n = len(interactions)
    user, user_ids = _coded(interactions.pop("user_id"))
    item, item_ids = _coded(interactions.pop("item_id"))
    columns: dict[str, Any] = {"user": user, "item": item}
    for column, kind in (("timestamp", np.int64), ("value", np.float32), ("weight", np.float32)):
        if column in interactions:
            columns[column] = interactions.pop(column).to_numpy(kind)
        else:
            columns[column] = np.arange(n) if column == "timestamp" else np.ones(n, kind)
    for column in [str(c) for c in interactions]:
        columns[column] = interactions.pop(column).array
    del user, item
    _sort(columns)
    item_table = _table("item_id", item_ids, items, items_source or source, twice)
    for text in ("title", "categories"):
        if text not in item_table:
            item_table[text] = ""
    return Dataset(
        name,
        pd.DataFrame(columns, copy=False),
        item_table,
        _table("user_id", user_ids, users, users_source or source, twice),
        left_out=dict(left_out or {}),
    )


def _coded(column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """(n,) int32 codes in the order of first appearance, and the ids they stand for (int64 or text)."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, ids = column.cat.codes.to_numpy(), pd.Index(column.cat.categories)
    elif column.dtype.kind in "iu" and column.min() >= 0 and column.max() < 4 * len(column) + 1_000_000:
        codes, ids = column.to_numpy(), pd.RangeIndex(int(column.max()) + 1)
    else:
        codes, ids = pd.factorize(column)
    rows = np.arange(len(codes) - 1, -1, -1, dtype=np.int32)
    first = np.full(len(ids), len(codes), np.int32)
    first[codes[::-1]] = rows  # of several writes to one place the last stands: the lowest row
    present = np.flatnonzero(first < len(codes))
    present = present[np.argsort(first[present])]
    code = np.zeros(len(ids), np.int32)
    code[present] = np.arange(len(present), dtype=np.int32)
    return code[codes], _ids(pd.Index(ids[present]))


def _sort(columns: dict[str, Any]) -> None:
    """Put the columns in the order of a Dataset (user, timestamp, source), one after the other to save memory."""
    user, timestamp = columns["user"], columns["timestamp"]
    same = user[1:] == user[:-1]
    if np.all(user[1:] >= user[:-1]) and np.all(timestamp[1:][same] >= timestamp[:-1][same]):
        return
    order = np.lexsort((timestamp, user)).astype(np.int32)
    del user, timestamp, same
    for column in columns:
        columns[column] = columns[column].take(order)


def _ids(ids: pd.Index) -> pd.Index:
    return pd.Index(ids.to_numpy(np.int64)) if ids.dtype.kind in "iu" else ids.astype(str)


def _table(key: str, ids: pd.Index, table: pd.DataFrame | None, source: object, twice: Twice) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame({key: ids})
    keys = _ids(pd.Index(table[key]))
    if keys.dtype != ids.dtype:
        keys, lookup = keys.astype(str), ids.astype(str)
    else:
        lookup = ids
    keys, table = _once(key, keys, table, source, twice)
    place = keys.get_indexer(lookup)
    if len(table) and not (place >= 0).any():
        raise DataError(
            f"{source}: not one {key} of the interactions stands in the {key.removesuffix('_id')} table "
            f"({str(lookup[0])!r} against {str(keys[0])!r}); the files do not belong together"
        )
    columns: dict[str, Any] = {key: ids}
    for column in table.columns.drop(key):
        columns[column] = _filled(table[column], place)
    return pd.DataFrame(columns)


def _once(key: str, keys: pd.Index, table: pd.DataFrame, source: object, twice: Twice) -> tuple[pd.Index, pd.DataFrame]:
    """The table with one row an id: copies go silently, contradicting rows by `twice`."""
    if keys.is_unique:
        return keys, table
    plain = table.assign(**{key: keys})
    differs = ~plain.duplicated()
    contradicting = plain[differs][key].duplicated(keep=False)
    if contradicting.any() and twice == "error":
        ident = plain[differs][key][contradicting].iloc[0]
        rows = (np.flatnonzero(keys == ident) + 1)[:5]
        raise DataError(
            f"{source}: {key} {str(ident)!r} stands more than once in the {key.removesuffix('_id')} table, with "
            f"different contents (rows {', '.join(map(str, rows))}); keep one row an id, or set "
            f"`duplicate_ids` to first or last"
        )
    first_rows = ~keys.duplicated(keep="last" if twice == "last" else "first")
    return keys[first_rows], table[first_rows]


def _filled(column: pd.Series, place: np.ndarray) -> np.ndarray:
    """The values at `place`; where that is -1 (an id the table does not list) -1, NaN or the empty text."""
    if column.dtype.kind in "iu":
        return np.append(column.to_numpy(np.int64), -1)[place]
    if column.dtype.kind == "f":
        return np.append(column.to_numpy(), np.nan)[place]
    texts = column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)
    return np.append(texts, np.array([""], dtype=object))[place]
