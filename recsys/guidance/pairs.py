"""Pairs of a user's scored items that guidance compares: those with the widest gaps of LLM scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.dataset import Floats, Longs
from .scores import PairScores


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs of items of one user each, sorted by user. better, worse (n,): rows of the score table; gap (n,) > 0."""

    better: Longs
    worse: Longs
    gap: Floats

    def __len__(self) -> int:
        return len(self.gap)


def widest_pairs(
    scores: PairScores, n_users: int, most: int | None, least_gap: float, per_item: int | None = None
) -> ScoredPairs:
    """For every user at most `most` pairs whose scores differ by at least `least_gap`, widest gap first.

    Equal gaps are in the order of the table. per_item: largest number of pairs of an item; without it (None) the widest
    gaps are all between the few best and the few worst items. most=None: no limit.
    """
    first = scores.first(n_users)
    better, worse = [], []
    for user in np.flatnonzero(np.diff(first) > 1):
        rows = slice(int(first[user]), int(first[user + 1]))
        one, other = _widest(scores.score[rows], most, least_gap, per_item)
        better.append(one + rows.start)
        worse.append(other + rows.start)
    above = np.concatenate(better) if better else np.empty(0, np.int64)
    below = np.concatenate(worse) if worse else np.empty(0, np.int64)
    return ScoredPairs(above, below, scores.score[above] - scores.score[below])


def _widest(
    score: Floats, most: int | None, least_gap: float, per_item: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    gap = np.subtract.outer(score, score)
    one, other = np.nonzero(gap >= max(least_gap, np.finfo(np.float32).tiny))
    width = gap[one, other]
    if most is not None and per_item is None and most < len(width):
        near = np.flatnonzero(width >= np.partition(width, len(width) - most)[len(width) - most])
        one, other, width = one[near], other[near], width[near]
    order = np.argsort(-width, kind="stable")
    one, other = one[order], other[order]
    if per_item is not None:
        places = _sparing(one, other, len(score), most, per_item)
        one, other = one[places], other[places]
    return one[:most], other[:most]


def _sparing(
    one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], n: int, most: int | None, per_item: int
) -> list[int]:
    """Positions of the first `most` pairs such that no item is in more than `per_item` of them."""
    used, places = np.zeros(n, np.int64), []
    for place, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        if used[a] < per_item and used[b] < per_item:
            used[a] += 1
            used[b] += 1
            places.append(place)
            if len(places) == most:
                break
    return places
