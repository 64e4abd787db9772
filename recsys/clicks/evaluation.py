"""Metrics of click models: AUC, logloss and AUC within users, with intervals, paired between models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset
from ..evaluation.clicks import auc, logloss, user_auc
from ..evaluation.intervals import Interval, paired, summarised
from .rows import labels

Values = npt.NDArray[np.float64]
METRICS = ("auc", "logloss", "user_auc")
COLUMNS = ("model", "metric", "against", "mean", "low", "high", "n", "p")

CELLS = 2_000_000
"""Resampled rows held at once: 16 MB."""


def judge_clicks(
    rows: Dataset,
    chances: Mapping[str, npt.ArrayLike],
    *,
    threshold: float = 4.0,
    against: Sequence[str] = (),
    unit: Literal["user", "row"] = "user",
    seed: int = 0,
    draws: int = 1000,
) -> pd.DataFrame:
    """A table of metrics (`COLUMNS`): one row per model, metric and reference model ("" for the metric itself).

    chances: a model's `predict(rows, ...)`, (n,) or (seeds, n); a metric is averaged over the seeds.
    against: reference models; `mean` is then the mean difference from it, with a two-sided p.
    unit: what the bootstrap of the 95 % intervals resamples. The default is users with all their rows: rows of one user
        are correlated, so resampling single rows would give intervals that are too narrow. All models share the
        resamples.
    `user_auc` is the mean over the `n` users with both labels; for the other metrics `n` counts rows.
    Raises DataError where the labels are all equal, ConfigError for an `against` that is no model of `chances`.
    """
    truth = labels(rows, threshold).astype(np.float64)
    unknown = [name for name in against if name not in chances]
    if unknown:
        raise ConfigError(f"against: {unknown[0]!r} is no model here; known are {', '.join(chances)}")
    if unit not in ("user", "row"):
        raise ConfigError(f"unit: {unit!r}; write 'user' or 'row'")
    tables = {name: _table(name, values, len(rows)) for name, values in chances.items()}
    resampled = _resampled(truth, tables, rows.user if unit == "user" else np.arange(len(rows)), seed, draws)
    users, user = np.unique(rows.user, return_inverse=True)
    by_user = {name: _over(table, lambda s: user_auc(user, truth, s, len(users))) for name, table in tables.items()}
    rows_of_table = []
    for name, table in tables.items():
        for place, (metric, measure) in enumerate((("auc", auc), ("logloss", logloss))):
            for other in ("", *(o for o in against if o != name)):
                figure, spread = _over(table, partial(measure, truth)), resampled[name][place]
                if other:
                    figure = figure - _over(tables[other], partial(measure, truth))
                    spread = spread - resampled[other][place]
                rows_of_table.append(_row(name, metric, other, summarised(float(figure), spread, len(rows))))
        for other in ("", *(o for o in against if o != name)):
            rng = np.random.default_rng([seed, len(users)])
            reference = by_user[other] if other else np.zeros(len(users))
            rows_of_table.append(_row(name, "user_auc", other, paired(by_user[name], reference, rng, draws)))
    return pd.DataFrame(rows_of_table, columns=list(COLUMNS))


def resampled_auc(label: Values, score: Values, weights: Values) -> Values:
    """(draws,) AUC of labels and scores (n,) where row i counts weights[:, i] times (draws, n); ties count half."""
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    sorted_weights, truth = weights[:, order], label[order]
    clicked = np.add.reduceat(sorted_weights * truth, first, axis=1)
    left = np.add.reduceat(sorted_weights * (1 - truth), first, axis=1)
    won = (clicked * (np.cumsum(left, 1) - left / 2)).sum(1)
    pairs = clicked.sum(1) * left.sum(1)
    values: Values = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return values


def _table(name: str, values: npt.ArrayLike, n: int) -> Values:
    table = np.atleast_2d(np.asarray(values, np.float64))
    if table.shape[1] != n or table.ndim != 2:
        raise DataError(f"model {name!r}: chances of shape {np.shape(values)} for {n} rows; give (n,) or (seeds, n)")
    return table


def _resampled(
    truth: Values, tables: Mapping[str, Values], cluster: npt.NDArray[np.integer], seed: int, draws: int
) -> dict[str, Values]:
    """(2, draws) AUC and logloss of each model on the same bootstrap resamples of clusters of rows."""
    names, cluster = np.unique(cluster, return_inverse=True)
    even = np.full(len(names), 1 / len(names))
    rng = np.random.default_rng([seed, len(truth)])
    step = max(1, CELLS // len(truth))
    parts: dict[str, list[Values]] = {name: [] for name in tables}
    for start in range(0, draws, step):
        weights = rng.multinomial(len(names), even, size=min(step, draws - start))[:, cluster].astype(np.float64)
        for name, table in tables.items():
            areas = np.mean([resampled_auc(truth, scores, weights) for scores in table], 0)
            parts[name].append(np.stack([areas, weights @ _losses(truth, table) / weights.sum(1)]))
    return {name: np.concatenate(resampled, 1) for name, resampled in parts.items()}


def _over(table: Values, measure: Callable[[Values], npt.ArrayLike]) -> Values:
    """A metric of each seed's scores, averaged over the seeds."""
    values: Values = np.mean(np.stack([np.asarray(measure(scores), np.float64) for scores in table]), 0)
    return values


def _losses(truth: Values, table: Values) -> Values:
    """(n,) logloss of each row, averaged over the seeds."""
    chance = np.clip(table, 1e-7, 1 - 1e-7)
    values: Values = -np.mean(truth * np.log(chance) + (1 - truth) * np.log1p(-chance), 0)
    return values


def _row(model: str, metric: str, against: str, figure: Interval) -> dict[str, object]:
    p = figure.p if against else float("nan")
    return dict(zip(COLUMNS, (model, metric, against, figure.mean, figure.low, figure.high, figure.n, p), strict=True))
