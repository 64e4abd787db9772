"""What a control is matched on: popularity rank, place in the history and user activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ..data.dataset import Dataset, Longs

WINDOW = 10
"""Rows, items or users next to each other in popularity rank that exchange their edits."""
TOLERANCE = 0.05
"""Largest relative difference in popularity of an added item and the item that stands for it."""
RATIOS = (1.25, 1.5, 2.0, 4.0)
"""Widths of a bin of history lengths and of places in the history: the first that leaves `ROWS_A_CELL` on average."""
ROWS_A_CELL = 5 * WINDOW
NEWEST = 5
"""Places from the end of the history that are matched exactly: next-item models live on them."""
ATTEMPTS = 16
"""Random draws of an unseen item before all unseen items are listed."""


@dataclass(frozen=True, slots=True)
class Matching:
    """What a control's rows, items and users have in common with the edited ones.

    rows: (n,) stratum of each row of raw. items: (n_items,), users: (n_users,) likewise. tolerance: relative difference
    in popularity that a substitute item may have.
    """

    rows: Longs
    items: Longs
    users: Longs
    tolerance: float


def placed(raw: Dataset) -> Matching:
    """Strata of equal place and activity; popularity is not matched, nor are items and users."""
    items, users = (np.zeros(n, np.int64) for n in (raw.n_items, raw.n_users))
    return Matching(cells(raw), items, users, np.inf)


def matched(raw: Dataset, rng: np.random.Generator) -> Matching:
    """Strata of equal place and activity, cut into windows of popularity rank; ties in rank are ordered at random."""
    return Matching(
        rows=rank_windows(cells(raw), raw.item_counts[raw.item], rng),
        items=rank_windows(np.zeros(raw.n_items, np.int64), raw.item_counts, rng),
        users=rank_windows(np.zeros(raw.n_users, np.int64), raw.user_counts, rng),
        tolerance=TOLERANCE,
    )


def cells(raw: Dataset) -> Longs:
    """(n,) label of each row's place from the end and its user's activity; a cell holds `ROWS_A_CELL` on average."""
    place = places(raw)
    cell = np.zeros(len(raw), np.int64)
    for ratio in RATIOS:
        bins = place_bins(place, ratio)
        pairs = log_bins(raw.user_counts, ratio)[raw.user] * (bins.max(initial=0) + 1) + bins
        # Factorised, so that the product of the labels stays small.
        cell = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        if len(raw) >= ROWS_A_CELL * (cell.max(initial=0) + 1):
            break
    return cell


def places(data: Dataset) -> Longs:
    """(n,) place of each row from the end of its user's history: 0 is the newest."""
    return data.indptr[data.user + 1] - 1 - np.arange(len(data))


def place_bins(place: Longs, ratio: float) -> Longs:
    """(n,) bins of places from the end: the newest stand alone, the others in steps of a factor `ratio`."""
    older = NEWEST + log_bins(np.maximum(place, NEWEST), ratio) - log_bins(np.array([NEWEST]), ratio)
    return np.where(place < NEWEST, place, older).astype(np.int64)


def rank_windows(cell: Longs, count: npt.NDArray[np.integer], rng: np.random.Generator, size: int = WINDOW) -> Longs:
    """(n,) strata within cells: runs of about `size` neighbours in the order of `count`, equal counts at random."""
    order = np.lexsort((rng.random(len(cell)), count, cell))
    _, first, total = np.unique(cell[order], return_index=True, return_counts=True)
    position = np.arange(len(cell)) - np.repeat(first, total)
    windows = np.maximum(1, np.round(total / size).astype(np.int64))
    base = np.cumsum(windows) - windows
    strata = np.empty(len(cell), np.int64)
    strata[order] = np.repeat(base, total) + position * np.repeat(windows, total) // np.repeat(total, total)
    return strata


def permutation_within(stratum: Longs, rng: np.random.Generator) -> Longs:
    """(n,) a random permutation of 0..n-1 that maps every stratum onto itself."""
    permutation = np.empty(len(stratum), np.int64)
    permutation[np.argsort(stratum, kind="stable")] = np.lexsort((rng.random(len(stratum)), stratum))
    return permutation


class UnseenItems:
    """Samples items of given popularity that a user has not seen in `raw` and was not given before."""

    def __init__(self, raw: Dataset, tolerance: float, rng: np.random.Generator) -> None:
        self.raw, self.rng = raw, rng
        self.log_count: npt.NDArray[np.float64] = np.log1p(raw.item_counts)
        self.order = np.argsort(self.log_count, kind="stable")
        self.sorted = self.log_count[self.order]
        self.width = float(np.log1p(tolerance))
        self.seen: dict[int, set[int]] = {}

    def take(self, user: int, like: int) -> int:
        """An item as popular as `like`, which from now on counts as seen by the user."""
        item = self.peek(user, like)
        self.seen[user].add(item)
        return item

    def peek(self, user: int, like: int) -> int:
        """An unseen item within the tolerance of `like`; where there is none, the tolerance doubles until there is."""
        seen = self.seen.setdefault(user, set(self.raw.history(user).tolist()))
        width, wanted, members = self.width, self.log_count[like], self.order[:0]
        while len(members) < len(self.order):
            low, high = np.searchsorted(self.sorted, (wanted - width - 1e-9, wanted + width + 1e-9))
            members = self.order[low:high]
            for item in self.rng.choice(members, ATTEMPTS).tolist() if len(members) else []:
                if item not in seen:
                    return int(item)
            left = np.setdiff1d(members, np.fromiter(seen, np.int64, len(seen)))
            if len(left):
                return int(self.rng.choice(left))
            width *= 2
        raise DataError(
            f"dataset {self.raw.name!r}: user {self.raw.users['user_id'].iloc[user]!r} (code {user}) has all "
            f"{self.raw.n_items} items, so no control can give them an unseen one; leave such users out"
        )

    def own(self, user: int, like: int) -> int:
        """An item of the user's history as popular as `like`, or nearest to it; an unseen one without a history."""
        history = self.raw.history(user)
        if not len(history):
            return self.peek(user, like)
        distance = np.abs(self.log_count[history] - self.log_count[like])
        return int(self.rng.choice(history[distance <= max(self.width, float(distance.min())) + 1e-9]))


def log_bins(count: Longs, ratio: float) -> Longs:
    """(n,) bins of counts, each `ratio` times as wide as the one before."""
    bins: Longs = np.floor(np.log1p(count) / np.log(ratio)).astype(np.int64)
    return bins
