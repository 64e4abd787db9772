"""Samples of users that do not depend on which other users a log, or a part of it, holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..recsys.data import Dataset


def sample_users(data: Dataset, eligible: npt.NDArray[np.int64], count: int | None, seed: int) -> list[int]:
    """`count` of the users `eligible` (codes), ascending: those whose ids come first in `hash_order`; None: all."""
    if count is not None and count < len(eligible):
        ranks = hash_order(data.users["user_id"].iloc[eligible], seed)
        eligible = np.sort(eligible[np.argsort(ranks, kind="stable")[:count]])
    return [int(user) for user in eligible]


def users_with_ids(data: Dataset, eligible: npt.NDArray[np.int64], ids: frozenset[int | str]) -> list[int]:
    """Those of the users `eligible` (codes) whose ids are in `ids`."""
    wanted = data.users["user_id"].isin(list(ids)).to_numpy()
    return [int(user) for user in eligible[wanted[eligible]]]


def hash_order(ids: pd.Series, seed: int) -> npt.NDArray[np.uint64]:
    """A seeded hash of each id, the same in every part of a log: users are sampled in the order of these numbers."""
    return pd.util.hash_array(ids.astype(str).to_numpy(object), hash_key=f"{seed:016d}"[-16:])
