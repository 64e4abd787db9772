"""Several detectors as one: the sum of their ranks, or a logistic combination fitted where the truth may be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from recloop.errors import DataError
from recloop.recsys.denoising.owners import Bools, Doubts
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression


def rank_sum(doubts: Mapping[str, Doubts], weights: Mapping[str, float] | None = None) -> Doubts:
    """(n,) the mean of the detectors' ranks, in (0, 1]; ties share a rank. Needs no truth and no common scale.

    weights: what each counts, 1 unless named; they come from validation or from nowhere.
    """
    ranked = [rankdata(doubt) / len(doubt) * (weights or {}).get(name, 1.0) for name, doubt in doubts.items()]
    total = sum((weights or {}).get(name, 1.0) for name in doubts)
    return np.asarray(sum(ranked) / total, np.float64)


@dataclass(frozen=True, slots=True)
class Weighted:
    """A logistic combination: p(noise) = sigmoid(bias + sum of weight * standardised doubt)."""

    names: tuple[str, ...]
    centre: Doubts
    scale: Doubts
    weight: Doubts
    bias: float

    def __call__(self, doubts: Mapping[str, Doubts]) -> Doubts:
        """(n,) probabilities in [0, 1]. DataError for a detector that it was not fitted with."""
        absent = [name for name in self.names if name not in doubts]
        if absent:
            raise DataError(f"the combination needs the doubts of {absent[0]!r}; give those it was fitted with")
        table = (np.stack([doubts[name] for name in self.names], 1) - self.centre) / self.scale
        return np.asarray(1 / (1 + np.exp(-(table @ self.weight + self.bias))), np.float64)

    def weights_by_name(self) -> dict[str, float]:
        """Weight of each detector, on standardised doubts."""
        return {name: float(value) for name, value in zip(self.names, self.weight, strict=True)}


def fitted(doubts: Mapping[str, Doubts], noise: Bools, rows: Bools) -> Weighted:
    """The combination of all of `doubts`, (n,) each, that tells `noise` best on `rows` (n,), of L2 strength 1."""
    names = tuple(doubts)
    table = np.stack([doubts[name][rows] for name in names], 1)
    centre, scale = table.mean(0), np.maximum(table.std(0), 1e-9)
    model = LogisticRegression(max_iter=1000).fit((table - centre) / scale, noise[rows])
    return Weighted(names, centre, scale, model.coef_[0].astype(np.float64), float(model.intercept_[0]))
