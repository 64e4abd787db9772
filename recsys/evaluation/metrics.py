"""Accuracy of rankings: recall, precision, HR, NDCG, MRR and MAP at any cutoff, from where the relevant items stand.

Ties are broken by nobody. Items with equal scores stand in a random order, and every metric here is its exact
expectation over those orders (McSherry & Najork 2008, "Computing information retrieval performance measures efficiently
in the presence of tied scores"): a scorer that gives every item the same score gets what chance gets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError

Integers = npt.NDArray[np.integer]
Values = npt.NDArray[np.float64]
Metric = Callable[["Placement", int], Values]

BEYOND = ("coverage", "gini", "novelty")
"""Metrics of the lists rather than of their accuracy; computed in `beyond.py`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the relevant items of n users stand in their rankings.

    user: (m,) rows 0..n-1, one entry a relevant item. Relevant items that were not ranked, or stand deeper than any
        cutoff of interest, may be left out.
    above: (m,) how many items score strictly higher, >= 0.
    tied: (m,) how many items have the same score, itself included, >= 1.
    n_relevant: (n,) how many relevant items each user has, ranked or not; 0 makes every metric undefined (NaN).
    """

    user: Integers
    above: Integers
    tied: Integers
    n_relevant: Integers

    @classmethod
    def of_hits(cls, hits: npt.NDArray[np.bool_], n_relevant: Integers) -> Placement:
        """From lists without ties: hits (n, depth) is true where the item at that position is relevant."""
        user, above = np.nonzero(hits)
        return cls(user, above, np.ones(len(user), np.int64), n_relevant)

    def only(self, mask: npt.NDArray[np.bool_], n_relevant: Integers) -> Placement:
        """The relevant items where mask (m,) is true, over the same rankings."""
        return Placement(self.user[mask], self.above[mask], self.tied[mask], n_relevant)


def recall(placed: Placement, k: int) -> Values:
    """Share of the user's relevant items in the first k, (n,), in [0, 1]."""
    ties = _ties(placed)
    return _per_relevant(ties.total(ties.relevant * ties.within(k) / ties.size), placed)


def precision(placed: Placement, k: int) -> Values:
    """Share of the first k positions that hold a relevant item, (n,), in [0, 1]; always divided by k."""
    ties = _ties(placed)
    return _defined(ties.total(ties.relevant * ties.within(k) / ties.size) / k, placed)


def hr(placed: Placement, k: int) -> Values:
    """1 where a relevant item is in the first k, else 0, (n,); between them where a tie is cut."""
    return _defined(_first_hit(placed, k, lambda position: np.ones_like(position)), placed)


def mrr(placed: Placement, k: int) -> Values:
    """1 / position of the first relevant item in the first k, 0 without one, (n,), in [0, 1]."""
    return _defined(_first_hit(placed, k, lambda position: 1.0 / position), placed)


def ndcg(placed: Placement, k: int) -> Values:
    """Binary gains discounted by log2(1 + position) over those of the best order (Järvelin & Kekäläinen 2002), (n,)."""
    ties = _ties(placed)
    discounted = _cumulative(lambda position: np.divide(1.0, np.log2(1.0 + position)), k)
    start = np.minimum(ties.above, k)
    gained = ties.relevant / ties.size * (discounted[start + ties.within(k)] - discounted[start])
    best = discounted[np.minimum(placed.n_relevant, k)]
    with np.errstate(invalid="ignore"):
        return _defined(ties.total(gained) / best, placed)


def map_(placed: Placement, k: int) -> Values:
    """Average precision over the first k, divided by the number of relevant items (trec_eval's `map_cut`), (n,).

    At the j-th of t tied places behind a items, of which R are relevant and r of the tied are, the expected precision
    of a relevant item is (R + 1 + (j - 1)(r - 1)/(t - 1)) / (a + j); it is relevant with probability r/t. The sum over
    the places before the cutoff needs only harmonic numbers.
    """
    ties = _ties(placed)
    inside = ties.within(k)
    harmonic = _cumulative(lambda position: 1.0 / position, k)
    start = np.minimum(ties.above, k)
    reciprocal = harmonic[start + inside] - harmonic[start]
    linear = inside - (ties.above + 1) * reciprocal
    among = (ties.relevant - 1) / np.maximum(ties.size - 1, 1)
    summed = ties.relevant / ties.size * ((ties.before() + 1) * reciprocal + among * linear)
    return _per_relevant(ties.total(summed), placed)


METRICS: dict[str, Metric] = {
    "recall": recall,
    "precision": precision,
    "hr": hr,
    "mrr": mrr,
    "ndcg": ndcg,
    "map": map_,
}


@dataclass(frozen=True, slots=True)
class CutoffMetric:
    """A metric as it is named in studies and tables: `ndcg@10` is name `ndcg` at cutoff `k` 10."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @property
    def of_lists(self) -> bool:
        """Whether it is a property of all lists together (coverage, gini, novelty) and has no value per user."""
        return self.name in BEYOND

    def __call__(self, placed: Placement) -> Values:
        return METRICS[self.name](placed, self.k)


def parse(text: str) -> CutoffMetric:
    """`recall@10` -> CutoffMetric("recall", 10). Raises ConfigError with the nearest name of an unknown metric."""
    known = (*METRICS, *BEYOND)
    match = re.fullmatch(r"\s*([A-Za-z_]+)\s*(?:@\s*(\d+))?\s*", text)
    name = match[1].lower() if match else text
    if match is None or name not in known:
        bare = re.split(r"[@\d]", text.strip().lower())[0]
        nearest = difflib.get_close_matches(bare, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"metric {text!r} does not exist; did you mean '{nearest}@10'? Known: {', '.join(known)}")
    if match[2] is None or int(match[2]) < 1:
        raise ConfigError(f"metric {text!r} needs a cutoff of at least 1, for example '{name}@10'")
    return CutoffMetric(name, int(match[2]))


@dataclass(frozen=True, slots=True)
class _Ties:
    """Groups of relevant items with one score: the group stands behind `above` items and has `size` places."""

    user: Integers
    above: Integers
    size: Integers
    relevant: Integers
    n: int

    def within(self, k: int) -> npt.NDArray[np.int64]:
        """How many of the group's places are among the first k."""
        return np.clip(k - self.above, 0, self.size).astype(np.int64)

    def total(self, values: Values) -> Values:
        return np.bincount(self.user, weights=values, minlength=self.n).astype(np.float64)

    def before(self) -> npt.NDArray[np.int64]:
        """Relevant items of the same user in higher groups; groups are sorted by user, then by position."""
        summed = np.cumsum(self.relevant) - self.relevant
        first = np.flatnonzero(np.diff(self.user, prepend=-1))
        return summed - np.repeat(summed[first], np.diff(first, append=len(self.user)))

    def first(self) -> _Ties:
        """The highest group of each user that has one."""
        top = np.flatnonzero(np.diff(self.user, prepend=-1))
        return _Ties(self.user[top], self.above[top], self.size[top], self.relevant[top], self.n)


def _ties(placed: Placement) -> _Ties:
    order = np.lexsort((placed.above, placed.user))
    user, above, tied = placed.user[order], placed.above[order], placed.tied[order]
    new = (np.diff(user, prepend=-1) != 0) | (np.diff(above, prepend=-1) != 0)
    first = np.flatnonzero(new)
    return _Ties(user[first], above[first], tied[first], np.diff(first, append=len(user)), len(placed.n_relevant))


def _first_hit(placed: Placement, k: int, gain: Callable[[Values], Values]) -> Values:
    """Expected gain(position) of the first relevant item among the first k.

    Only the user's highest group matters: a lower one is reached only when the higher one, which holds a relevant item,
    is whole. Within it the first relevant item is at place j with probability S(j - 1) - S(j), where S(j) = prod over
    i <= j of (t - r - i + 1) / (t - i + 1) is the chance that none of the first j places is relevant.
    """
    top = _ties(placed).first()
    inside = top.within(k)
    gained = np.zeros(len(inside))
    alone = (top.size == top.relevant) & (inside > 0)
    gained[alone] = gain((top.above[alone] + 1).astype(np.float64))
    rows = np.flatnonzero(~alone & (inside > 0))
    missed = np.ones(len(rows))
    for j in range(1, int(inside[rows].max(initial=0)) + 1):
        left = top.size[rows] - j + 1
        still = missed * np.maximum(left - top.relevant[rows], 0) / np.maximum(left, 1)
        reached = inside[rows] >= j
        gained[rows] += np.where(reached, (missed - still) * gain((top.above[rows] + j).astype(np.float64)), 0.0)
        missed = still
    return top.total(gained)


def _cumulative(weight: Callable[[Values], Values], k: int) -> Values:
    """(k + 1,) sums of weight(position) over the first 0, 1, ... k positions."""
    return np.concatenate([[0.0], np.cumsum(weight(np.arange(1, k + 1).astype(np.float64)))])


def _per_relevant(summed: Values, placed: Placement) -> Values:
    return _defined(summed / np.maximum(placed.n_relevant, 1), placed)


def _defined(values: Values, placed: Placement) -> Values:
    return np.where(placed.n_relevant > 0, values, np.nan)
