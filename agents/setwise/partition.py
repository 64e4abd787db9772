"""Overlapping sets of candidates, and how their rankings become one: partition, merge, mismatch.

The idea of overlapping sets and of a set-wise mismatch is SRLF's (arXiv 2511.11370, abstract); windows, Borda merge and
the form of the mismatch are our own, for the paper's are not public.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...errors import ConfigError

MergeBy = Literal["rank", "score"]


def windows(count: int, size: int, stride: int) -> list[tuple[int, ...]]:
    """Positions 0..count-1 in sets of `size`, each starting `stride` after the last, wrapping round.

    Every position lies in size / stride sets, so every item is judged equally often: 10, 4, 2 gives 5 sets and two
    judgements an item. `stride == size` gives disjoint sets, the last one smaller where `size` does not divide `count`;
    `size >= count` gives one set.
    Raises ConfigError where equal exposure is impossible.
    """
    if size < 1 or not 1 <= stride <= size:
        raise ConfigError(f"set_size {size} and stride {stride}: stride must lie in 1..set_size")
    if size >= count:
        return [tuple(range(count))]
    if stride == size:
        return [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    if size % stride or count % stride:
        raise ConfigError(
            f"set_size {size}, stride {stride}, {count} candidates: items would be judged unequally often; "
            "stride must divide both set_size and the number of candidates"
        )
    return [tuple((start + offset) % count for offset in range(size)) for start in range(0, count, stride)]


def dealt(count: int, size: int, stride: int, dealings: int = 1, rng: np.random.Generator | None = None) -> list[
    tuple[int, ...]
]:  # fmt: skip
    """The sets of `dealings` partitions; members in the order in which they are shown.

    Without `rng` the first partition is that of `windows` on the list as it stands (which is shuffled when it is drawn)
    and there is no second; with it, every partition is windows on a fresh order. Two dealings into disjoint sets judge
    every item twice and link what a single one leaves apart.
    """
    plain = windows(count, size, stride)
    if rng is None:
        return plain
    orders = [[int(place) for place in rng.permutation(count)] for _ in range(dealings)]
    return [tuple(order[place] for place in window) for order in orders for window in plain]


@dataclass(frozen=True, slots=True)
class Judged:
    """One set as it was judged: positions best first, a graded score in [0, 1] for each of them, and why."""

    ranking: tuple[int, ...]
    scores: tuple[float, ...]
    reason: str = ""
    shown: tuple[int, ...] = ()
    """The positions in the order in which the handles A, B, ... named them."""
    cited: tuple[int, ...] = ()
    """Places of the profile's claims that decided."""


@dataclass(frozen=True, slots=True)
class Merged:
    """One order over all candidates. Sequences are indexed by position, except `order`, which is best first."""

    order: tuple[int, ...]
    borda: tuple[float, ...]
    """Mean normalised rank over the sets an item lies in: 0 always first, 1 always last."""
    scores: tuple[float, ...]
    """Mean graded score over those sets, in [0, 1]."""

    def place(self, position: int) -> float:
        """Where an item stands in the whole order: 0 first, 1 last."""
        return self.order.index(position) / max(1, len(self.order) - 1)


def merge(sets: Sequence[Judged], count: int, by: MergeBy = "rank") -> Merged:
    """The order of `count` candidates that the judged sets agree on.

    rank: by mean normalised rank over an item's sets (Borda); ties by wins over the items it shares a set with, then by
    mean score, then by position, which is random because candidates are shuffled. Sets of one item say nothing about
    rank, so point-wise judgements (`set_size: 1`) are ordered by score.

    score: by mean graded score, made to fall along each set's ranking (`levelled`), ties by rank as above. Inside a set
    the ranking decides, between sets the scores: what disjoint sets need, whose ranks cannot be compared.
    """
    ranks: list[list[float]] = [[] for _ in range(count)]
    scores: list[list[float]] = [[] for _ in range(count)]
    wins = [0] * count
    for judged in sets:
        last = len(judged.ranking) - 1
        given = levelled(judged.scores) if by == "score" else judged.scores
        for rank, (position, score) in enumerate(zip(judged.ranking, given, strict=True)):
            scores[position].append(score)
            if last:
                ranks[position].append(rank / last)
                wins[position] += last - rank
    borda = tuple(_mean(found, 0.5) for found in ranks)
    graded = tuple(_mean(found, 0.0) for found in scores)
    if by == "score":
        order = sorted(range(count), key=lambda p: (-graded[p], borda[p], -wins[p], p))
    else:
        order = sorted(range(count), key=lambda p: (borda[p], -wins[p], -graded[p], p))
    return Merged(tuple(order), borda, graded)


def levelled(scores: Sequence[float]) -> tuple[float, ...]:
    """The nearest scores (least squares) that do not rise along the ranking: neighbours that contradict it are pooled.

    By pooling adjacent violators (Ayer et al. 1955).
    """
    pools: list[tuple[float, int]] = []
    for score in scores:
        total, length = score, 1
        while pools and pools[-1][0] * length < total * pools[-1][1]:
            above, more = pools.pop()
            total, length = total + above, length + more
        pools.append((total, length))
    return tuple(total / length for total, length in pools for _ in range(length))


def mismatch(sets: Sequence[Judged], positive: int, count: int) -> float:
    """How far from first the true item was put: mean over its sets of (rank - 1) / (k - 1), in [0, 1].

    For point-wise judgements, where a set has no ranks, its place in the merged order.
    """
    places = [
        s.ranking.index(positive) / (len(s.ranking) - 1) for s in sets if positive in s.ranking and len(s.ranking) > 1
    ]
    return _mean(places, merge(sets, count).place(positive)) if places else merge(sets, count).place(positive)


def logistic_mismatch(merged: Merged, positive: int) -> float:
    """Mean over the other candidates of log(1 + exp(s_other - s_positive)): the pair-wise form, for reports."""
    others = [s for position, s in enumerate(merged.scores) if position != positive]
    return _mean([math.log1p(math.exp(s - merged.scores[positive])) for s in others], math.log(2))


def wrongly_above(sets: Sequence[Judged], positive: int, count: int) -> list[int]:
    """Positions ranked above the true item in any set that holds it (point-wise: in the merged order), ascending."""
    rankings = [s.ranking for s in sets if positive in s.ranking and len(s.ranking) > 1]
    if not rankings:
        rankings = [merge(sets, count).order]
    return sorted({p for ranking in rankings for p in ranking[: ranking.index(positive)]})


def misjudged(sets: Sequence[Judged], positive: int, count: int) -> list[Judged]:
    """The sets that put another item before the true one.

    Point-wise judgements compare nothing: the merged order stands as their one set, with the true item's reasons.
    """
    held = [s for s in sets if positive in s.ranking]
    if any(len(s.ranking) > 1 for s in held):
        return [s for s in held if len(s.ranking) > 1 and s.ranking[0] != positive]
    merged = merge(sets, count)
    reasons = " ".join(s.reason for s in held)
    return [Judged(merged.order, tuple(merged.scores[p] for p in merged.order), reasons)]


def order_of(
    handles: Mapping[str, int], ranking: Sequence[tuple[str, float]], reason: str, cited: Sequence[int] = ()
) -> Judged:
    """A reply's (handle, score) pairs, best first, as a judged set of positions."""
    ranked, scores = tuple(handles[h] for h, _ in ranking), tuple(score for _, score in ranking)
    return Judged(ranked, scores, reason, tuple(handles.values()), tuple(cited))


def _mean(values: Sequence[float], empty: float) -> float:
    # Rounded, because thirds and fifths do not add up alike in every order: equal means must be ties.
    return round(math.fsum(values) / len(values), 12) if values else empty
