"""Calibration of predicted ratings by past ones: for the smallest error, or for the user's own rating distribution.

The two aims conflict: a weak predictor has the least error by predicting the mean, which has no spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Doubles = npt.NDArray[np.float64]
Answered = Sequence[Doubles | None]
SHRINK = 5.0
"""A user's own mean counts n / (n + SHRINK), n being the ratings it rests on."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The ratings in use: `low` to `high` in steps of `step`."""

    low: float
    high: float
    step: float

    @classmethod
    def of(cls, values: Doubles) -> Scale:
        used = np.unique(values)
        return cls(float(used[0]), float(used[-1]), float(np.diff(used).min()))

    @property
    def points(self) -> Doubles:
        return np.arange(self.low, self.high + self.step / 2, self.step)

    def shares(self, ratings: Doubles) -> Doubles:
        """How the ratings, rounded to the scale, spread over its points; sums to 1."""
        place = np.clip(np.round((ratings - self.low) / self.step), 0, len(self.points) - 1).astype(int)
        return np.bincount(place, minlength=len(self.points)) / max(1, len(ratings))


def to_error(predicted: Answered, own: Sequence[Doubles], new: Answered, scale: Scale) -> list[Doubles | None]:
    """`new` predictions with kindness and overconfidence taken off; user i's lists stand at place i of each.

    A user's predictions are centred at the mean of their past ones, stretched by one factor for everybody (least
    squares over what was `predicted` of the ratings `own`), and moved to the user's own mean, shrunken to everybody's.
    Users without an answer are None, and teach nothing; one who has only new answers is moved by everybody's kindness.
    """
    taught = [(p, o) for p, o in zip(predicted, own, strict=True) if p is not None and len(p)]
    if not taught:
        return [None] * len(new)
    everybody = float(np.concatenate([o for _, o in taught]).mean())
    kindness = float(np.concatenate([p - o for p, o in taught]).mean())
    inner = np.concatenate([p - p.mean() for p, _ in taught])
    truth = np.concatenate([o - o.mean() for _, o in taught])
    # A negative factor would invert the model's predictions: it is noise.
    stretch = max(0.0, float((inner * truth).sum() / (inner**2).sum())) if (inner**2).sum() > 1e-12 else 0.0
    calibrated: list[Doubles | None] = []
    for past, given, values in zip(predicted, own, new, strict=True):
        if values is None:
            calibrated.append(None)
        elif past is None or not len(past):
            calibrated.append(np.clip(values - kindness, scale.low, scale.high))
        else:
            middle = (given.sum() + SHRINK * everybody) / (len(given) + SHRINK)
            calibrated.append(np.clip(middle + stretch * (values - past.mean()), scale.low, scale.high))
    return calibrated


def to_distribution(predicted: Answered, known: Sequence[Doubles], new: Answered) -> list[Doubles | None]:
    """`new` predictions put at the quantiles of all ratings that the user is `known` to have given.

    A prediction's quantile is its place among the user's own predictions, past and new, ties in the middle; so the
    order stays, and the spread is the user's. None without an answer.
    """
    calibrated: list[Doubles | None] = []
    for past, ratings, values in zip(predicted, known, new, strict=True):
        if values is None:
            calibrated.append(None)
            continue
        together = values if past is None else np.concatenate([values, past])
        quantile = (rankdata(together)[: len(values)] - 0.5) / len(together)
        calibrated.append(np.quantile(ratings, quantile, method="inverted_cdf"))
    return calibrated
