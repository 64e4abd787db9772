"""How sure a mean is: bootstrap over users (and seeds), Wilcoxon's signed-rank test, Holm's correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from ...errors import DataError

Values = npt.NDArray[np.float64]

CHUNK = 4_000_000
"""Resampled users drawn at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % percentile interval.

    n: users it rests on. p: two-sided bootstrap p-value of the mean (or mean difference) against zero, the one that
    agrees with the interval; at least 2/(draws + 1). All NaN when no user is defined.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def paired(
    a: npt.ArrayLike, b: npt.ArrayLike, rng: np.random.Generator, draws: int = 2000, *, resample_seeds: bool = False
) -> Interval:
    """Mean of a - b over the users for whom both are defined, with its interval.

    a, b: (n,) values of the same users in the same order, or (seeds, n). Several seeds are averaged a user first, so
        that the interval speaks of these trained models; with `resample_seeds` the seeds, paired by position, are
        drawn again as well as the users, so that it speaks of the training method (a two-level bootstrap). Users with
        NaN in either, for any seed, are left out.
    Raises DataError when the shapes differ.
    """
    first, second = np.atleast_2d(np.asarray(a, np.float64)), np.atleast_2d(np.asarray(b, np.float64))
    if first.shape != second.shape:
        raise DataError(f"paired values must be of the same users and seeds, got shapes {first.shape}, {second.shape}")
    return interval(first - second, rng, draws, resample_seeds=resample_seeds)


def interval(
    values: npt.ArrayLike, rng: np.random.Generator, draws: int = 2000, *, resample_seeds: bool = False
) -> Interval:
    """Mean of values (n,) or (seeds, n) over users, with its interval; NaN users are left out as in `paired`."""
    table = np.atleast_2d(np.asarray(values, np.float64))
    table = table[:, ~np.isnan(table).any(axis=0)]
    if table.shape[1] == 0:
        return Interval(np.nan, np.nan, np.nan, 0, np.nan)
    if not resample_seeds:
        table = table.mean(axis=0, keepdims=True)
    means = resampled_means(table.T[:, None, :], rng, draws)[:, 0]
    return summarised(float(table.mean()), means, table.shape[1])


def resampled_means(values: Values, rng: np.random.Generator, draws: int) -> Values:
    """(draws, columns) means of values (n, columns, seeds) under resampling of users and, if several, of seeds.

    All columns see the same draws. Users are drawn as counts, so that a draw of all columns is one matrix product.
    Deviations between seeds are scaled by sqrt(seeds / (seeds - 1)): resampling few seeds understates their variance by
    that factor squared (Davison & Hinkley 1997, section 2.3).
    """
    n, columns, seeds = values.shape
    flat = values.reshape(n, columns * seeds)
    means = np.empty((draws, columns * seeds))
    step = max(1, CHUNK // max(n, 1))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        sample = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(sample.ravel(), minlength=size * n).reshape(size, n)
        means[start : start + size] = counts.astype(np.float64) @ flat / n
    by_seed = means.reshape(draws, columns, seeds)
    if seeds == 1:
        return by_seed[:, :, 0]
    shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    weights = 1 / seeds + (shares - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
    weighted: Values = np.einsum("dcs,ds->dc", by_seed, weights)
    return weighted


def summarised(mean: float, means: Values, n: int) -> Interval:
    """The interval that the resampled means (draws,) of an observed mean give."""
    # Order statistics, not interpolated percentiles: so the interval excludes 0 exactly where p <= .05.
    rank = max(1, int(0.025 * (len(means) + 1)))
    ordered = np.sort(means)
    tail = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    p = min(1.0, 2 * (tail + 1) / (len(means) + 1))
    return Interval(mean, float(ordered[rank - 1]), float(ordered[-rank]), n, p)


def wilcoxon(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over the users (n,) for whom both are defined.

    Equal pairs are left out (Wilcoxon 1945). The exact distribution for at most 50 changes without ties, else
    the normal approximation. 1 when all are equal, NaN when no user is defined.
    """
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    difference = difference[~np.isnan(difference)]
    if len(difference) == 0:
        return float("nan")
    # Means over seeds differ in the last bit where they are equal: without rounding those would be ranked as changes.
    difference = np.round(difference, 12)
    if not difference.any():
        return 1.0
    # SciPy's "auto" turns to permutations for few pairs with ties, a second a test; its two other ways cost nothing.
    changed = np.abs(difference[difference != 0])
    exact = len(changed) <= 50 and len(np.unique(changed)) == len(changed)
    method: Literal["exact", "approx"] = "exact" if exact else "approx"
    return float(stats.wilcoxon(difference[difference != 0], zero_method="wilcox", method=method).pvalue)


def holm(p: npt.ArrayLike) -> Values:
    """p-values (m,) corrected for being read together (Holm 1979, step-down); NaN stays and is not counted."""
    values = np.asarray(p, np.float64)
    corrected = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected
