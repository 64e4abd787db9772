"""Owners of windows: several users of a Dataset may be windows of one person's history.

Evidence about a row is counted over other owners only: overlapping windows of one owner repeat each other, planted
noise included, and would confirm it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix

from ..data.dataset import Dataset, Longs

OWNER = "owner"
Doubts = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def owners(data: Dataset) -> Longs:
    """(n_users,) owner codes, 0 .. owners - 1; every user is its own owner where the users have no column `owner`."""
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
