"""Metrics of a detector where the noise is known: AUC, AP, F1 at a threshold chosen elsewhere, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from recloop.recsys.denoising.owners import Bools, Doubts


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DetectorScores:
    """threshold: the doubt from which a row counts as noise; the figures are of other rows than it was chosen on."""

    rows: int
    planted: int
    auc: Spread
    ap: Spread
    threshold: float
    precision: float
    recall: float
    f1: Spread

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    doubt: Doubts,
    planted: Bools,
    threshold: float,
    group: npt.NDArray[np.integer],
    rng: np.random.Generator,
    draws: int = 1000,
) -> DetectorScores:
    """Metrics of doubts (n,) about rows whose truth is `planted` (n,). NaN where one of the classes is absent.

    group: (n,) what is drawn again as a whole for the intervals: the window of each row, or its owner.
    """
    flagged = doubt >= threshold
    hits = int((flagged & planted).sum())
    precision = hits / flagged.sum() if flagged.any() else float("nan")
    recall = hits / planted.sum() if planted.any() else float("nan")
    sort = _Sorted.of(doubt, planted, flagged)
    figures = sort.figures(np.ones(len(doubt)))
    resampled = np.empty((draws, 3))
    for at, counts in enumerate(drawn_again(group, rng, draws)):
        resampled[at] = sort.figures(counts)
    low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=0) if draws and planted.any() else np.full((2, 3), np.nan)
    spread = [Spread(float(v), float(a), float(b)) for v, a, b in zip(figures, low, high, strict=True)]
    return DetectorScores(
        len(doubt),
        int(planted.sum()),
        spread[0],
        spread[1],
        float(threshold),
        float(precision),
        float(recall),
        spread[2],
    )


def paired_auc(
    doubt: Doubts,
    other: Doubts,
    planted: Bools,
    group: npt.NDArray[np.integer],
    rng: np.random.Generator,
    draws: int = 1000,
) -> Spread:
    """AUC of `doubt` less that of `other`, on the same rows, with the same groups drawn again for both."""
    flagged = np.zeros(len(doubt), bool)
    one, two = _Sorted.of(doubt, planted, flagged), _Sorted.of(other, planted, flagged)
    resampled = np.empty(draws)
    for at, counts in enumerate(drawn_again(group, rng, draws)):
        resampled[at] = one.figures(counts)[0] - two.figures(counts)[0]
    low, high = np.nanpercentile(resampled, [2.5, 97.5]) if draws else (np.nan, np.nan)
    every = np.ones(len(doubt))
    return Spread(one.figures(every)[0] - two.figures(every)[0], float(low), float(high))


def drawn_again(group: npt.NDArray[np.integer], rng: np.random.Generator, draws: int) -> Iterator[Doubts]:
    """`draws` times, how often each row (n,) counts when whole groups are drawn with replacement."""
    _, part = np.unique(group, return_inverse=True)
    size = int(part.max(initial=-1)) + 1
    for _ in range(draws):
        yield np.bincount(rng.integers(0, size, size), minlength=size)[part].astype(np.float64)


def best_threshold(doubt: Doubts, planted: Bools) -> float:
    """The doubt from which flagging gives the best F1 on these rows; infinity where nothing is planted."""
    if not planted.any():
        return float("inf")
    order = np.argsort(-doubt, kind="stable")
    hits = np.cumsum(planted[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + planted.sum())
    # Equal doubts are flagged together: only the last of a run can be a cut.
    last = np.append(np.diff(doubt[order]) != 0, True)
    return float(doubt[order][np.argmax(np.where(last, f1, -1))])


def calibration_error(probability: Doubts, planted: Bools, bins: int = 10) -> float:
    """Mean gap between the stated probability and the share that is planted, over bins of equal size (ECE)."""
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(part) * abs(float(probability[part].mean()) - float(planted[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    ]
    return float(sum(gaps) / len(probability)) if len(probability) else float("nan")


def over_removal(doubt: Doubts, planted: Bools, cold: Bools, threshold: float) -> dict[str, float]:
    """Share of the true rows that the threshold would flag, of cold items and of the others; NaN without such rows."""
    flagged = doubt >= threshold
    rates = {}
    for name, group in (("cold", cold), ("warm", ~cold)):
        true = group & ~planted
        rates[name] = float(flagged[true].mean()) if true.any() else float("nan")
    return rates


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Rows sorted once, most doubted first: a draw is then a matter of counts. Equal doubts share a place."""

    order: npt.NDArray[np.int64]
    planted: Doubts
    flagged: Doubts
    ends: npt.NDArray[np.int64]
    """The last row of each run of equal doubts."""

    @classmethod
    def of(cls, doubt: Doubts, planted: Bools, flagged: Bools) -> _Sorted:
        order = np.argsort(-doubt, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(doubt[order]) != 0, True))
        return cls(order, planted[order].astype(np.float64), flagged[order].astype(np.float64), ends)

    def figures(self, count: Doubts) -> tuple[float, float, float]:
        """AUC, AP and F1 where row i stands count[i] times; NaN where one of the classes is absent."""
        weight = count[self.order]
        hits, misses = weight * self.planted, weight * (1 - self.planted)
        true, false = np.cumsum(hits)[self.ends], np.cumsum(misses)[self.ends]
        if not len(self.order) or not true[-1] or not false[-1]:
            return float("nan"), float("nan"), float("nan")
        new_true, new_false = np.diff(true, prepend=0), np.diff(false, prepend=0)
        area = float((new_false * (true - new_true / 2)).sum() / (true[-1] * false[-1]))
        precision = true / np.maximum(true + false, 1e-12)
        flagged_hits = float((hits * self.flagged).sum())
        f1 = 2 * flagged_hits / float((weight * self.flagged).sum() + true[-1])
        return area, float((new_true * precision).sum() / true[-1]), f1
