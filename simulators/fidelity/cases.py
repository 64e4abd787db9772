"""`Case`: one list put before one user. Which of its items the user took is known to the scoring alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...recsys.data import Dataset, Split, together
from ...recsys.data.dataset import Ints


@dataclass(frozen=True, slots=True)
class Case:
    """A user and the items shown, in the order shown. `taken` is for scoring; no row is handed it."""

    user: int
    candidates: tuple[int, ...]
    taken: tuple[bool, ...]

    @property
    def truth(self) -> int:
        """The item taken; the first of several."""
        return self.candidates[self.taken.index(True)]

    def reordered(self, order: Sequence[int]) -> Case:
        """The same list with its places dealt anew: place p holds what was at `order[p]`."""
        return replace(
            self, candidates=tuple(self.candidates[p] for p in order), taken=tuple(self.taken[p] for p in order)
        )  # fmt: skip


@dataclass(frozen=True)
class Field:
    """What lists are drawn from: what is known of everybody, what is held out, and what each user ever took."""

    known: Dataset
    """Train and validation: the history at test time."""
    held: Dataset
    everything: Dataset

    @classmethod
    def of(cls, split: Split) -> Field:
        known = together(split.train, split.valid)
        return cls(known, split.test, together(known, split.test))

    def users(self, held: int, history: int) -> Ints:
        """Codes of the users with at least so many items held out and so many known."""
        return np.flatnonzero((self.held.user_counts >= held) & (self.known.user_counts >= history)).astype(np.int32)

    def chosen(self, count: int, held: int, history: int, seed: int) -> list[int]:
        """At most `count` of those users, ascending; the sampling of a user does not depend on the others."""
        able = self.users(held, history)
        luck = [np.random.default_rng([seed, 7, int(user)]).random() for user in able]
        return sorted(int(user) for user in able[np.argsort(luck, kind="stable")[:count]])

    def open_items(self, user: int) -> npt.NDArray[np.bool_]:
        """(n_items,) true where the user has never taken the item, on any side."""
        open_ = np.ones(self.known.n_items, bool)
        open_[self.everything.history(user)] = False
        return open_


def next_item_cases(
    field: Field, users: Iterable[int], candidates: int, negatives: Literal["uniform", "popularity"], seed: int
) -> list[Case]:
    """The first held-out item of each user among `candidates - 1` others that the user never took, shuffled.

    uniform: items with a known interaction. popularity: drawn near the truth's popularity rank.
    """
    rank = popularity_rank(field.known, np.random.default_rng([seed, 0]))
    alive = field.known.item_counts > 0
    cases = []
    for user in users:
        rng = np.random.default_rng([seed, 1, user])
        truth = int(field.held.history(user)[0])
        if negatives == "uniform":
            others = rng.choice(np.flatnonzero(field.open_items(user) & alive), candidates - 1, replace=False)
        else:
            others = np.array(matched(field, rank, user, [truth] * (candidates - 1), 2 * candidates, rng))
        cases.append(shuffled(user, [truth], [int(item) for item in others], rng))
    return cases


def taste_cases(
    field: Field,
    users: Iterable[int],
    taken: int,
    ratio: int,
    negatives: Literal["uniform", "popularity"],
    seed: int,
    *,
    window: int = 15,
) -> list[Case]:
    """`taken` of each user's held-out items and `ratio` others for each of them, shuffled."""
    rank = popularity_rank(field.known, np.random.default_rng([seed, 0]))
    cases = []
    for user in users:
        rng = np.random.default_rng([seed, 2, ratio, user])
        own = [int(i) for i in rng.choice(np.unique(field.held.history(user)), taken, replace=False)]
        if negatives == "uniform":
            others = rng.choice(np.flatnonzero(field.open_items(user)), taken * ratio, replace=False)
        else:
            others = np.array(matched(field, rank, user, own * ratio, window, rng))
        cases.append(shuffled(user, own, [int(item) for item in others], rng))
    return cases


def popularity_rank(known: Dataset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(n_items,) places by known interactions, 0 the most popular; equal counts in random order."""
    order = np.lexsort((rng.random(known.n_items), -known.item_counts))
    rank = np.empty(known.n_items, np.int64)
    rank[order] = np.arange(known.n_items)
    return rank


def matched(
    field: Field,
    rank: npt.NDArray[np.int64],
    user: int,
    like: Sequence[int],
    window: int,
    rng: np.random.Generator,
) -> list[int]:
    """For each item of `like` another one of like popularity that the user never took, no item twice.

    Drawn within `window` ranks, above and below alike: one side is chosen by coin and the other taken only where it has
    nobody left, so that popularity tells nothing. Where both sides are used up the nearest item left is taken.
    """
    order = np.argsort(rank)
    free = field.open_items(user)[order]
    cases = []
    for item in like:
        place = int(rank[item])
        sides = [np.arange(max(0, place - window), place), np.arange(place + 1, min(place + 1 + window, len(order)))]
        if rng.random() < 0.5:
            sides.reverse()
        near = next((side[free[side]] for side in sides if free[side].any()), None)
        if near is None:
            left = np.flatnonzero(free)
            near = left[[int(np.argmin(np.abs(left - place)))]]
        chosen = int(rng.choice(near))
        free[chosen] = False
        cases.append(int(order[chosen]))
    return cases


def shuffled(user: int, taken: Sequence[int], others: Sequence[int], rng: np.random.Generator) -> Case:
    """A case with the items in random order."""
    items = [*taken, *others]
    order = rng.permutation(len(items))
    return Case(user, tuple(items[p] for p in order), tuple(bool(p < len(taken)) for p in order))
