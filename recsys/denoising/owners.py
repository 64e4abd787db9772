"""Whose windows are whose: many users of a Dataset may be windows of one person, whose own words prove nothing.

Evidence is counted per owner, without the row's own owner: overlapping windows of one owner repeat each other, planted
noise included, and would confirm it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix

from ..data.dataset import Dataset, Longs

OWNER = "owner"
Doubts = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def owners(data: Dataset) -> Longs:
    """(n_users,) a number for each owner; every user owns itself where the users have no column `owner`."""
    if OWNER not in data.users:
        return np.arange(data.n_users, dtype=np.int64)
    return pd.factorize(data.users[OWNER])[0].astype(np.int64)


def holdings(data: Dataset, rows: Bools | None = None) -> csr_matrix:
    """(owners, n_items) 1 where an owner has an item in any row of weight > 0, of those where `rows` (n,) is true."""
    owner = owners(data)
    used = data.weight > 0 if rows is None else rows & (data.weight > 0)
    held = np.unique(owner[data.user[used]] * data.n_items + data.item[used])
    shape = int(owner.max(initial=-1)) + 1, data.n_items
    return csr_matrix((np.ones(len(held), np.float32), (held // data.n_items, held % data.n_items)), shape=shape)


def one_sequence_each(data: Dataset, rows: Bools | None = None) -> Dataset:
    """The data with a user an owner: their windows' items in order of first appearance, each once.

    rows: (n,) those to take. Windows of one owner follow each other as in the source.
    """
    used = np.flatnonzero(data.weight > 0 if rows is None else rows & (data.weight > 0))
    owner = owners(data)[data.user[used]]
    frame = pd.DataFrame({"user_id": owner, "item": data.item[used]}).drop_duplicates()
    codes, ids = pd.factorize(frame["user_id"])
    interactions = pd.DataFrame(
        {
            "user": codes.astype(np.int32),
            "item": frame["item"].to_numpy(np.int32),
            "timestamp": np.arange(len(frame), dtype=np.int64),
            "value": np.ones(len(frame), np.float32),
            "weight": np.ones(len(frame), np.float32),
        }
    )
    return Dataset(data.name, data.interactions.iloc[:0], data.items, data.users.iloc[:0]).with_(
        interactions=interactions, users=pd.DataFrame({"user_id": ids})
    )


def cross_fitted(
    data: Dataset, doubt: Callable[[Bools, Bools], Doubts], folds: int, seed: int, scored: Bools | None = None
) -> Doubts:
    """(n,) doubts of rows by detectors that have not seen their owner; NaN where `judged` (n,) is false.

    doubt: (rows to learn from, rows to judge) -> (n,) doubts, read where rows are judged. Owners are dealt into folds.
    """
    owner = owners(data)
    lot = np.random.default_rng([seed, 17]).permutation(int(owner.max(initial=-1)) + 1)[owner][data.user] % folds
    doubts = np.full(len(data), np.nan)
    for fold in range(folds):
        here = (lot == fold) & (True if scored is None else scored)
        if here.any():
            doubts[here] = doubt(lot != fold, here)[here]
    return doubts
