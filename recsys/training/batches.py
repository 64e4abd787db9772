"""Mini-batches by array operations: negatives that are never positives of the user, and windows of histories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Dataset, Floats, Ints, Longs

Batch = tuple[npt.NDArray[Any], ...]
"""The arrays of one step; in batches of rows the last array holds the rows' weights."""


@dataclass(frozen=True, slots=True)
class Negatives:
    """Samples items that a user has no interaction with, uniformly and without rejection.

    A user's r-th non-positive item is r plus the number of positives before it. With the positives of a user sorted as
    p_0 < p_1 < ..., exactly the p_j with p_j - j <= r come before, so one binary search over all users' p_j - j gives
    every negative of an epoch.
    """

    n_items: int
    first: Longs
    """(n_users + 1,) offsets of each user's positives in `gaps`."""
    gaps: Longs
    """user * (n_items + 1) + p_j - j, ascending."""

    @classmethod
    def of(cls, data: Dataset) -> Negatives:
        """Every interaction of `data` is a positive, whatever its weight or value."""
        n = data.n_items
        keys = np.unique(data.user.astype(np.int64) * n + data.item)
        user, item = keys // n, keys % n
        first = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=data.n_users))]).astype(np.int64)
        return cls(n, first, user * (n + 1) + item - (np.arange(len(keys)) - first[user]))

    def free(self, users: npt.NDArray[np.integer]) -> Longs:
        """(n,) number of items that are not positives of each of these users."""
        values: Longs = self.n_items - (self.first[users + 1] - self.first[users])
        return values

    def draw(self, users: npt.NDArray[np.integer], rng: np.random.Generator, each: int = 1) -> Ints:
        """(n, each) sampled item codes. ValueError for a user whose positives are the whole catalogue."""
        users = users.astype(np.int64)
        free = self.free(users)
        if len(free) and free.min() < 1:
            raise ValueError(
                f"user {users[free.argmin()]} has interacted with every item: there is no negative to draw"
            )
        rank = (rng.random((len(users), each)) * free[:, None]).astype(np.int64)
        before = np.searchsorted(self.gaps, users[:, None] * (self.n_items + 1) + rank, side="right")
        values: Ints = (rank + before - self.first[users][:, None]).astype(np.int32)
        return values


def shuffled(n: int, size: int, rng: np.random.Generator) -> Iterator[Longs]:
    """The numbers 0..n-1 in random order, `size` at a time; the last batch may be smaller."""
    order = rng.permutation(n)
    for start in range(0, n, size):
        yield order[start : start + size]


def part_of_rows(batch: Batch, which: int, parts: int) -> tuple[Batch, float]:
    """Rows of part `which` of `parts` of a batch, and their share of the sum of weights (the batch's last array)."""
    rows = stretch(len(batch[0]), which, parts)
    return tuple(array[rows] for array in batch), share(batch[-1], rows)


def part_of_pairs(batch: Batch, which: int, parts: int) -> tuple[Batch, float]:
    """Rows of part `which` of `parts` of a batch, and their share of the number of rows."""
    rows = stretch(len(batch[0]), which, parts)
    return tuple(array[rows] for array in batch), (rows.stop - rows.start) / max(len(batch[0]), 1)


def stretch(n: int, which: int, parts: int) -> slice:
    """The slice of part `which` of `parts` of n rows; part sizes differ by at most one row."""
    return slice(which * n // parts, (which + 1) * n // parts)


def share(weights: Floats, part: slice) -> float:
    """The part's share of the sum of weights; 0 where that is 0."""
    whole = float(weights.sum(dtype=np.float64))
    return float(weights[part].sum(dtype=np.float64)) / whole if whole > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Windows:
    """Sections of histories as rows of equal length, padded on the right, after the newest item.

    A causal model reads only what is to the left, so padding cannot affect any state of a real position.
    """

    items: Ints
    """(n, length) item codes, oldest first; `pad` after the end."""
    rows: Longs
    """(n, length) row of the Dataset at each position, -1 in the padding."""
    users: Ints
    """(n,) user of each window."""


def windows(data: Dataset, users: Ints, start: Longs, size: Longs, length: int, pad: int) -> Windows:
    """One window for each of `users`: `size` interactions of `data` from row `start` on; all arrays (n,)."""
    place = np.arange(length)
    inside = place < size[:, None]
    rows = np.where(inside, start[:, None] + place, -1)
    items = np.where(inside, data.item[np.where(inside, rows, 0)] if len(data) else pad, pad).astype(np.int32)
    return Windows(items, rows, users)


def newest(data: Dataset, users: Ints, length: int, pad: int) -> Windows:
    """The last `length` interactions of each user, from which the next item is predicted."""
    stop = data.indptr[users.astype(np.int64) + 1]
    size = np.minimum(data.user_counts[users], length)
    return windows(data, users, stop - size, size, length, pad)


def pieces(data: Dataset, length: int, rng: np.random.Generator) -> tuple[Ints, Longs, Longs]:
    """Cuts each history into consecutive pieces of at most `length` steps: (users, first rows, steps), each (n,).

    A step is an item and its successor, so a piece of s steps has s + 1 interactions, and every interaction but a
    user's first is a target exactly once per epoch. The cuts are random for each user and call, so that every item is
    predicted from short and from long contexts.
    """
    steps = np.maximum(data.user_counts - 1, 0)
    lead = rng.integers(0, length, data.n_users)
    count = np.where(steps > 0, -(-(steps + lead) // length), 0)
    users = np.repeat(np.arange(data.n_users, dtype=np.int32), count)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    begin = np.maximum(nth * length - lead[users], 0)
    end = np.minimum((nth + 1) * length - lead[users], steps[users])
    return users, data.indptr[users] + begin, end - begin


def floats(values: Floats, rows: Longs) -> Floats:
    """values[rows], with 0 where a row is -1."""
    return np.where(rows < 0, np.float32(0), values[rows] if len(values) else np.float32(0)).astype(np.float32)


def with_positive_weight(data: Dataset) -> Dataset:
    """`data` without its interactions of weight 0, which are treated as absent."""
    return data if bool(np.all(data.weight > 0)) else data.rows(data.weight > 0)
