"""Filters: which interactions of a `Dataset` are kept. Each gives a Dataset whose users and items are 0..n-1 again."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import DataError
from .dataset import Dataset

Mask = npt.NDArray[np.bool_]
Moment = int | float | str | date | datetime
"""Unix seconds, an ISO 8601 text, a date (its first second), or a datetime; without a zone it is read as UTC."""


def at_least(data: Dataset, value: float) -> Dataset:
    """The interactions whose value (rating) is `value` or more. DataError when none is."""
    return rows_where(data, data.value >= value, f"at_least({value:g}): the highest value is {_highest(data):g}")


def k_core(data: Dataset, user: int = 5, item: int = 5) -> Dataset:
    """The largest part in which every user has at least `user` rows and every item at least `item`.

    Users and items with too few rows are taken out in turns until none is left that has too few, so the result does
    not depend on who is taken first. A pair that stands twice counts twice: drop duplicates before. DataError when
    nothing is left.
    """
    rows = np.arange(len(data))
    users, items = data.user, data.item
    while len(rows):
        enough = (np.bincount(users, minlength=data.n_users) >= user)[users]
        enough &= (np.bincount(items, minlength=data.n_items) >= item)[items]
        if enough.all():
            break
        rows, users, items = rows[enough], users[enough], items[enough]
    mask = np.zeros(len(data), bool)
    mask[rows] = True
    return rows_where(data, mask, f"k_core(user={user}, item={item})")


def drop_duplicates(data: Dataset, keep: Literal["last", "first"] = "last") -> Dataset:
    """One row for every pair of user and item: the `last` in time (the user's newest opinion) or the `first`.

    Among rows of one time the order of the source decides.
    """
    pair = data.user.astype(np.int64) * data.n_items + data.item
    return rows_where(data, ~pd.Series(pair).duplicated(keep=keep).to_numpy(), f"drop_duplicates(keep={keep!r})")


def time_window(data: Dataset, start: Moment | None = None, end: Moment | None = None) -> Dataset:
    """The interactions from `start` (included) to `end` (left out); None leaves that side open.

    DataError when none lies between, or a moment cannot be read.
    """
    low = -np.inf if start is None else seconds(start)
    high = np.inf if end is None else seconds(end)
    mask = (data.timestamp >= low) & (data.timestamp < high)
    span = f"the data runs from {data.timestamp.min()} to {data.timestamp.max()}" if len(data) else "it was empty"
    return rows_where(data, mask, f"time_window({start!r}, {end!r}): {span}")


def rows_where(data: Dataset, mask: Mask, filtered_by: str) -> Dataset:
    """The rows where `mask` (n,) is true, over the users and items that still have one, coded anew from 0.

    Items and users keep their order and every column, their vectors, and the preference pairs whose user and items
    all stay. `filtered_by` names the filter in the DataError raised when no row is left.
    """
    if not mask.any():
        raise DataError(
            f"dataset {data.name!r} is empty after {filtered_by}; it had {len(data)} rows before. Ask for less"
        )
    if mask.all() and data.user_counts.all() and data.item_counts.all():
        return data
    rows = data.interactions[mask]
    user_stays = np.bincount(rows["user"], minlength=data.n_users) > 0
    item_stays = np.bincount(rows["item"], minlength=data.n_items) > 0
    user_code, item_code = _codes(user_stays), _codes(item_stays)
    pairs = data.pairs
    if len(pairs):
        user, preferred, other = (pairs[c].to_numpy(np.int64) for c in ("user", "preferred", "other"))
        stay = user_stays[user] & item_stays[preferred] & item_stays[other]
        pairs = pairs[stay].assign(
            user=user_code[user[stay]], preferred=item_code[preferred[stay]], other=item_code[other[stay]]
        )
    return data.with_(
        interactions=rows.assign(user=user_code[rows["user"]], item=item_code[rows["item"]]),
        items=data.items[item_stays].reset_index(drop=True),
        users=data.users[user_stays].reset_index(drop=True),
        pairs=pairs.reset_index(drop=True),
        item_vectors=None if data.item_vectors is None else data.item_vectors[item_stays],
        user_vectors=None if data.user_vectors is None else data.user_vectors[user_stays],
    )


def seconds(moment: Moment) -> float:
    """Unix seconds of a moment; DataError when it cannot be read."""
    if isinstance(moment, int | float):
        return float(moment)
    try:
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    except ValueError as error:
        raise DataError(
            f"{moment!r} is no moment; write unix seconds or ISO 8601, as 2015-06-30 or 2015-06-30T12:00Z"
        ) from error
    if not isinstance(when, datetime):
        when = datetime.combine(when, time())
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _codes(stays: Mask) -> npt.NDArray[np.int32]:
    return (np.cumsum(stays) - 1).astype(np.int32)


def _highest(data: Dataset) -> float:
    return float(data.value.max()) if len(data) else float("nan")
