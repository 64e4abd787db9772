"""What is asked of a ranking: whose held-out items are to be found, and what was known before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Ints, Longs, Split, together

Side = Literal["valid", "test"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The relevant items of n users, each pair once.

    users: (n,) user codes. row: (m,) ascending, 0..n-1; item: (m,) item codes.
    already_seen: how many held-out pairs were left out because the item is in the user's history and seen items are
    masked: no ranking could show them.
    """

    users: Ints
    row: Longs
    item: Longs
    already_seen: int

    def counts(self, items: npt.NDArray[np.bool_] | None = None) -> Longs:
        """(n,) relevant items of each user, only those where items (n_items,) is true if it is given."""
        row = self.row if items is None else self.row[items[self.item]]
        return np.bincount(row, minlength=len(self.users)).astype(np.int64)


def known_at(split: Split, side: Side) -> Dataset:
    """What is known when `side` is predicted: train for the validation side, train + valid for the test side."""
    return together(split.train, split.valid) if side == "test" else split.train


def held_out(split: Split, side: Side, users: npt.ArrayLike | None, masked: Dataset | None) -> HeldOut:
    """The items that `side` holds of these users (None: everybody), without those that `masked` makes unreachable.

    Raises ConfigError for another side, DataError for user codes that do not exist or stand twice and for a side
    without any interaction.
    """
    if side not in ("valid", "test"):
        raise ConfigError(f"side {side!r} does not exist; rankings are scored on 'valid' or 'test'")
    target: Dataset = getattr(split, side)
    if len(target) == 0:
        raise DataError(f"the {side} side of {target.name!r} holds no interaction, so nothing can be scored on it")
    codes = user_codes(users, target.n_users)
    row, item = pairs(target, codes)
    keys = np.unique(row * target.n_items + item)
    seen = np.zeros(len(keys), bool)
    if masked is not None:
        before_row, before_item = pairs(masked, codes)
        # A hash over the few held-out pairs, not over the long histories: np.isin took ten times as long here.
        matches = pd.Index(keys).get_indexer(pd.Index(before_row * target.n_items + before_item))
        seen[matches[matches >= 0]] = True
    keys = keys[~seen]
    return HeldOut(codes, keys // target.n_items, keys % target.n_items, int(seen.sum()))


def user_codes(users: npt.ArrayLike | None, n_users: int) -> Ints:
    """The user codes asked for, checked; None is every user."""
    if users is None:
        return np.arange(n_users, dtype=np.int32)
    codes = np.asarray(users)
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise DataError(f"users must be a column of integer codes 0..{n_users - 1}, got {codes.dtype} {codes.shape}")
    if len(codes) and (codes.min() < 0 or codes.max() >= n_users):
        raise DataError(f"user code {codes[(codes < 0) | (codes >= n_users)][0]} is outside 0..{n_users - 1}")
    if len(pd.unique(codes)) < len(codes):
        raise DataError(
            f"user code {codes[pd.Series(codes).duplicated()][0]} stands twice among the users; name it once"
        )
    return codes.astype(np.int32)


def pairs(data: Dataset, users: Ints) -> tuple[Longs, Longs]:
    """Every interaction of these users as (row, item), where row is the position in `users`."""
    start, stop = data.indptr[users], data.indptr[users.astype(np.int64) + 1]
    length = stop - start
    row = np.repeat(np.arange(len(users)), length)
    within = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    return row, data.item[start[row] + within].astype(np.int64)


def known_to(data: Dataset) -> Longs:
    """(n_items,) how many distinct users know each item."""
    once = pd.unique(data.user.astype(np.int64) * data.n_items + data.item)
    return np.bincount(once % data.n_items, minlength=data.n_items).astype(np.int64)
