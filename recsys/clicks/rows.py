"""Rows of click prediction: labels, the user's liked items before each row, and the random split of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Floats, Ints, Longs, Split


def liked(data: Dataset, threshold: float) -> npt.NDArray[np.bool_]:
    """(n,) whether each row's value is at least the threshold."""
    return np.asarray(data.value >= threshold)


def has_ratings(train: Dataset, threshold: float) -> bool:
    """Whether train has values on both sides of the threshold; otherwise every row is treated as a choice."""
    likes = liked(train, threshold)
    return bool(likes.any() and not likes.all())


def labels(data: Dataset, threshold: float) -> Floats:
    """(n,) 1 where the value is at least the threshold, else 0. DataError where all labels are equal."""
    likes = liked(data, threshold)
    if likes.all() or not likes.any():
        raise DataError(
            f"dataset {data.name!r}: all {len(data)} rows have values on one side of threshold {threshold:g}; "
            "choose another threshold, or judge rankings (stop_on: ndcg@10)"
        )
    return likes.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Likes:
    """The m liked rows of a Dataset, indexed so that the history of any user at any time is a slice.

    items (m,), sorted by user and time; first (n_users + 1,) offsets of each user's rows; moments: the distinct
    timestamps, ascending; keys (m,) user and rank of the timestamp as one ascending number.
    """

    items: Ints
    first: Longs
    moments: Longs
    keys: Longs

    @classmethod
    def of(cls, data: Dataset, threshold: float | None) -> Likes:
        """The rows whose value is at least the threshold; every row where it is None."""
        counts = np.ones(len(data), bool) if threshold is None else liked(data, threshold)
        user, moment = data.user[counts].astype(np.int64), data.timestamp[counts]
        moments, rank = np.unique(moment, return_inverse=True)
        first = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=data.n_users))]).astype(np.int64)
        return cls(data.item[counts], first, moments, user * (len(moments) + 1) + rank)

    def before(self, users: Ints, timestamp: Longs) -> Longs:
        """(n,) end offset of each user's history before a timestamp; rows of the same second are excluded."""
        rank = np.searchsorted(self.moments, timestamp, side="left")
        return np.searchsorted(self.keys, users.astype(np.int64) * (len(self.moments) + 1) + rank, side="left")

    def whole(self, users: Ints) -> Longs:
        """(n,) end offset of each user's whole history."""
        return self.first[users.astype(np.int64) + 1]

    def last(self, users: Ints, ends: Longs, length: int, pad: int) -> Ints:
        """(n, length) the last items of each user before offset `ends`, oldest first, padded at the end by `pad`."""
        if length == 0:
            return np.empty((len(users), 0), np.int32)
        start = np.maximum(self.first[users.astype(np.int64)], ends - length)
        place = start[:, None] + np.arange(length)
        inside = place < ends[:, None]
        known = self.items if len(self.items) else np.full(1, pad, np.int32)
        return np.where(inside, known[np.where(inside, place, 0)], pad).astype(np.int32)


def random_rows(data: Dataset, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """Random split of rows: floor(n * valid) to validation, floor(n * test) to test, the rest to train.

    Train holds rows later than some of test: use it to compare with published figures, and `global_time` to estimate
    performance in service. Raises ConfigError for shares that leave nothing to train on, DataError for too few rows.
    """
    if valid < 0 or test < 0 or valid + test >= 1:
        raise ConfigError(f"valid={valid:g} and test={test:g}; give shares from 0 up whose sum is below 1")
    n_valid, n_test = (math.floor(len(data) * share + 1e-9) for share in (valid, test))
    if not n_test or len(data) == n_valid + n_test:
        raise DataError(f"dataset {data.name!r}: {len(data)} rows are too few for shares {valid:g} and {test:g}")
    place = np.random.default_rng([seed, len(data)]).permutation(len(data))
    to_test, to_valid = place < n_test, (place >= n_test) & (place < n_test + n_valid)
    return Split(data.rows(~(to_test | to_valid)), data.rows(to_valid), data.rows(to_test))
