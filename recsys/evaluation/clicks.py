"""Click prediction: area under the ROC curve, over all rows or within each user, and logarithmic loss."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from ...errors import DataError

Array = npt.ArrayLike
Values = npt.NDArray[np.float64]


def auc(label: Array, score: Array) -> float:
    """Chance that a positive row scores above a negative one, ties counted half (Mann-Whitney), in [0, 1].

    label: (n,) 0 or 1; score: (n,), any scale. NaN when one of the two classes is absent.
    Raises DataError for other labels and for NaN scores.
    """
    truth, scores = _checked(label, score)
    return float(user_auc(np.zeros(len(truth), np.int64), truth, scores, 1)[0])


def user_auc(user: npt.NDArray[np.integer], label: Array, score: Array, n_users: int) -> Values:
    """`auc` within each user's own rows, (n_users,); NaN for users without both a positive and a negative row."""
    truth, scores = _checked(label, score)
    order = np.lexsort((scores, user))
    ranks = np.empty(len(truth))
    # Dense ranks of (user, score) pairs keep the order within a user and let one call rank them all.
    new = np.diff(user[order], prepend=-1) != 0
    step = new | (np.diff(scores[order], prepend=np.nan) != 0)
    ranks[order] = rankdata(np.cumsum(step))
    rows = np.bincount(user, minlength=n_users)
    positives = np.bincount(user, weights=truth, minlength=n_users)
    first = np.cumsum(rows) - rows
    rank_sum = np.bincount(user, weights=truth * (ranks - first[user]), minlength=n_users)
    pairs = positives * (rows - positives)
    won = rank_sum - positives * (positives + 1) / 2
    areas: Values = np.divide(won, pairs, out=np.full(n_users, np.nan), where=pairs > 0)
    return areas


def logloss(label: Array, probability: Array) -> float:
    """Mean -log p of what happened, in nats; probabilities are kept 1e-7 away from 0 and 1 (float32's resolution).

    label: (n,) 0 or 1; probability: (n,) in [0, 1]. NaN for no rows. Raises DataError for values out of range.
    """
    truth, chance = _checked(label, probability)
    if len(chance) == 0:
        return float("nan")
    if chance.min() < 0 or chance.max() > 1:
        raise DataError(
            f"logloss needs probabilities in [0, 1], got {chance.min():g} to {chance.max():g}; apply a sigmoid first"
        )
    chance = np.clip(chance, 1e-7, 1 - 1e-7)
    return float(-np.mean(truth * np.log(chance) + (1 - truth) * np.log1p(-chance)))


def _checked(label: Array, score: Array) -> tuple[Values, Values]:
    truth, scores = np.asarray(label, np.float64), np.asarray(score, np.float64)
    if truth.shape != scores.shape or truth.ndim != 1:
        raise DataError(f"labels {truth.shape} and scores {scores.shape} must be two columns of equal length")
    if not np.isin(truth, (0, 1)).all():
        raise DataError(f"label at row {int(np.flatnonzero(~np.isin(truth, (0, 1)))[0])} is neither 0 nor 1")
    if np.isnan(scores).any():
        raise DataError(f"score at row {int(np.flatnonzero(np.isnan(scores))[0])} is NaN")
    return truth, scores
