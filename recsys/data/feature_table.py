"""The feature table: users and items as codes of categorical fields, fitted on the train side alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import ConfigError
from .dataset import Dataset, Ints, Longs

Bools = npt.NDArray[np.bool_]

DEFAULT_COLUMNS = ("categories", "year", "age", "sex", "occupation")
"""Default columns, as far as the data has them."""
LISTS = ("categories", "tags")
"""Columns of items that hold several values, joined by ", "."""
CONTEXT = {"hour": (3600, 24), "weekday": (86400, 7)}
"""Fields of a row's timestamp, UTC: seconds per value, and number of values."""
BUCKETS = 10
"""A column of numbers with more distinct values than this is cut into this many quantiles."""
ABSENT = -1
"""Pads the lists of items that have fewer values than others."""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Codes of all users and items. Code 0 of a field means "unknown": a value that train does not have.

    names: the fields: those of users, then single-valued ones of items, list fields of items, and the row's context.
    sizes: number of codes of each field, "unknown" included.
    users (n_users, ..), items (n_items, ..): codes of the single-valued fields; the first is the id itself.
    lists: for each list field (n_items, longest list), padded by `ABSENT`; an item without a known value has code 0.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    users: Ints
    items: Ints
    lists: tuple[Ints, ...]
    context: tuple[str, ...]

    @classmethod
    def fitted(cls, train: Dataset, columns: Sequence[str] | None = None, context: Sequence[str] = ()) -> FeatureTable:
        """The table of `train`; `columns` of its items or users are fields besides the ids (None: `DEFAULT_COLUMNS`).

        A value has its own code if a user or item with an interaction in `train` has it. An id also has one if an agent
        wrote an initial vector for it, which is information without any interaction. Raises ConfigError for a column
        that neither table has.
        """
        columns_read = DEFAULT_COLUMNS if columns is None else tuple(columns)
        if columns is not None:
            check_columns(train, columns_read)
        seen_users, seen_items = train.user_counts > 0, train.item_counts > 0
        users = {"user": _ids(seen_users, train.user_vectors)}
        users |= {name: _codes(train.users[name], seen_users) for name in columns_read if name in train.users}
        items = {"item": _ids(seen_items, train.item_vectors)}
        items |= {
            name: _codes(train.items[name], seen_items)
            for name in columns_read
            if name in train.items and name not in users and name not in LISTS
        }
        lists = {
            name: _list_codes(train.items[name], seen_items)
            for name in columns_read
            if name in LISTS and name in train.items and train.items[name].astype(bool).any()
        }
        sizes = [size for _, size in (*users.values(), *items.values(), *lists.values())]
        return cls(
            names=(*users, *items, *lists, *context),
            sizes=(*sizes, *(CONTEXT[name][1] + 1 for name in context)),
            users=np.stack([codes for codes, _ in users.values()], 1),
            items=np.stack([codes for codes, _ in items.values()], 1),
            lists=tuple(codes for codes, _ in lists.values()),
            context=tuple(context),
        )


def context_codes(names: Sequence[str], timestamp: Longs) -> Ints:
    """(n, len(names)) codes of timestamps, from 1 up: none is unknown."""
    values = [timestamp // CONTEXT[name][0] % CONTEXT[name][1] + 1 for name in names]
    return np.stack(values, 1).astype(np.int32) if values else np.empty((len(timestamp), 0), np.int32)


def check_columns(train: Dataset, columns_read: Sequence[str]) -> None:
    """Raises ConfigError for a column that neither the items nor the users of `train` have."""
    for name in columns_read:
        if name not in train.users and name not in train.items:
            has = [c for c in (*train.items.columns, *train.users.columns) if c not in ("item_id", "user_id", "title")]
            raise ConfigError(
                f"fields: dataset {train.name!r} has no column {name!r}; it has {', '.join(has) or 'none'}"
            )


def _ids(seen: Bools, vectors: npt.NDArray[np.float32] | None) -> tuple[Ints, int]:
    known = seen if vectors is None else seen | vectors.any(1)
    return np.where(known, np.cumsum(known), 0).astype(np.int32), int(known.sum()) + 1


def _codes(column: pd.Series, seen: Bools) -> tuple[Ints, int]:
    if column.dtype.kind in "iuf":
        # Readers write -1 for a year or an age that is not known.
        values = column.to_numpy(np.float64, na_value=np.nan)
        values = np.where(values < 0, np.nan, values)
        known = values[seen & ~np.isnan(values)]
        distinct = np.unique(known)
        if len(distinct) > BUCKETS:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BUCKETS + 1)[1:-1]))
            codes = np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)
            return codes.astype(np.int32), len(edges) + 2
        return (pd.Index(distinct).get_indexer(values) + 1).astype(np.int32), len(distinct) + 1
    texts = column.fillna("").astype(str).to_numpy(object)
    names = pd.Index(np.unique(texts[seen & (texts != "")]))
    return (names.get_indexer(texts) + 1).astype(np.int32), len(names) + 1


def _list_codes(column: pd.Series, seen: Bools) -> tuple[Ints, int]:
    exploded = column.fillna("").astype(str).str.split(", ").explode()
    item, value = exploded.index.to_numpy(), exploded.to_numpy(object)
    names = pd.Index(np.unique(value[seen[item] & (value != "")]))
    codes = names.get_indexer(value) + 1
    item, codes = item[codes > 0], codes[codes > 0]
    counts = np.bincount(item, minlength=len(column))
    place = np.arange(len(item)) - (np.cumsum(counts) - counts)[item]
    table = np.full((len(column), max(int(counts.max(initial=0)), 1)), ABSENT, np.int32)
    table[item, place] = codes
    table[counts == 0, 0] = 0
    return table, len(names) + 1
