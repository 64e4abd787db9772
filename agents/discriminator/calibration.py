"""Calibration of the discriminator: AUC with its interval, calibrated probabilities, and the cut.

Real rows held out of the history shown are told from sampled items that the user never had, all of the train side, as
many of the one as of the other. A calibrated confidence is therefore the probability that a row is real where every
second one is; among generated rows the share may differ, and is unknown here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ..agent import Records
from .config import Discriminate
from .machine import NAME

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DRAWS = 1000
"""Bootstrap draws of users for the interval of the AUC."""
BINS = 10
"""Of equal width, for the calibration error."""
_EDGE = 1e-3
"""Confidences are kept this far from 0 and 1 before their logit is taken."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """scores: (n,) confidences as given. real: (n,) true for held-out real rows. user: (n,) whose row it is."""

    scores: Doubles
    real: Bools
    user: npt.NDArray[np.int64]
    config: Discriminate

    @cached_property
    def auc(self) -> float:
        """Probability that a real row has a higher confidence than a sampled one; NaN where either kind is missing."""
        return _auc(self.scores, self.real)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % percentile interval of the AUC over users drawn with replacement."""
        rng = np.random.default_rng([len(self.scores), 0])
        rows = [np.flatnonzero(self.user == one) for one in np.unique(self.user)]
        resampled = []
        for _ in range(DRAWS if len(rows) > 1 else 0):
            sample = np.concatenate([rows[at] for at in rng.integers(len(rows), size=len(rows))])
            resampled.append(_auc(self.scores[sample], self.real[sample]))
        known = [one for one in resampled if one == one]
        return (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))) if known else (np.nan, np.nan)

    @property
    def informative(self) -> bool:
        """Whether the whole interval lies above chance."""
        return bool(self.interval[0] > 0.5)

    @cached_property
    def crossed(self) -> Doubles:
        """(n,) calibrated confidences, each by a calibrator that has not seen its user."""
        users = np.unique(self.user)
        folds = min(self.config.folds, len(users))
        fold = np.searchsorted(users, self.user) % folds
        calibrated = np.full(len(self.scores), np.nan)
        for one in range(folds):
            held = fold == one
            calibrated[held] = _fitted(self.scores[~held], self.real[~held], self.config.calibrator)(self.scores[held])
        return calibrated

    def __call__(self, scores: npt.ArrayLike) -> Doubles:
        """Calibrated confidences, by all rows together."""
        given = np.asarray(scores, np.float64)
        return np.asarray(self._curve(given), np.float64) if len(given) else given

    @cached_property
    def _curve(self) -> Any:
        return _fitted(self.scores, self.real, self.config.calibrator)

    @cached_property
    def cut(self) -> float:
        """What a generated row needs: by quantile a confidence as given, by precision a calibrated one; inf where
        nothing can be kept."""
        if not len(self.scores) or (not self.informative and self.config.cut.untested == "nothing"):
            return np.inf
        if self.config.cut.by == "quantile":
            return float(np.quantile(self.scores[self.real], self.config.cut.value))
        order = np.argsort(-self.crossed, kind="stable")
        sure, hits = self.crossed[order], np.cumsum(self.real[order])
        precision = hits / np.arange(1, len(order) + 1)
        # A threshold takes all rows that are equally sure, or none.
        last = np.append(sure[1:] != sure[:-1], True)
        reached = np.flatnonzero(last & (precision >= self.config.cut.value))
        return float(sure[reached[-1]]) if len(reached) else np.inf

    @cached_property
    def floor(self) -> float:
        """The confidence, as given, below which a real row is taken for noise; -inf where nothing is."""
        if self.config.noise.action == "keep" or not len(self.scores) or not self.informative:
            return -np.inf
        return float(np.quantile(self.scores[self.real], self.config.noise.quantile))

    def keeps(self, scores: npt.ArrayLike) -> Bools:
        """Which generated rows of these confidences, as given, stay."""
        given = np.asarray(scores, np.float64)
        return np.asarray((given if self.config.cut.by == "quantile" else self(given)) >= self.cut)

    def doubts(self, scores: npt.ArrayLike) -> Bools:
        """Which real rows of these confidences, as given, are taken for noise."""
        return np.asarray(np.asarray(scores, np.float64) < self.floor)

    def report(self) -> dict[str, Any]:
        """AUC, its interval, calibration error before and after, and the verdict in words."""
        low, high = self.interval
        verdict = (
            "the confidence tells real rows from sampled ones"
            if self.informative
            else "the confidence is uninformative: it tells real rows from sampled ones no better than chance; "
            + ("nothing is kept on its word alone" if self.config.cut.untested == "nothing" else "kept all the same")
        )
        return {
            "rows": len(self.scores),
            "users": len(np.unique(self.user)),
            "auc": self.auc,
            "auc_interval": [low, high],
            "informative": self.informative,
            "verdict": verdict,
            "ece_as_given": calibration_error(self.scores, self.real),
            "ece_calibrated": calibration_error(self.crossed, self.real) if len(self.scores) else np.nan,
            "calibrator": self.config.calibrator,
            "cut_by": self.config.cut.by,
            "cut": self.cut if np.isfinite(self.cut) else None,
            "noise_below": self.floor if np.isfinite(self.floor) else None,
        }


def calibration_of(records: Records, config: Discriminate) -> Calibration:
    """The calibration that the ok records of purpose `calibrate` make."""
    scores, real, user = [], [], []
    ok = records[(records["status"] == "ok") & (records["agent"] == NAME)].sort_values("key")
    for place, text in enumerate(ok["payload"]):
        payload = json.loads(text)
        if payload["purpose"] != "calibrate":
            continue
        for row in payload["rows"]:
            scores.append(row["confidence"])
            real.append(row["role"] == "real")
            user.append(place)
    return Calibration(np.array(scores, np.float64), np.array(real, bool), np.array(user, np.int64), config)


def calibration_error(confidence: Doubles, real: Bools) -> float:
    """Expected calibration error: mean distance of confidence and share of real rows over BINS bins, by their rows."""
    if not len(confidence):
        return float("nan")
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    stated = np.bincount(place, weights=confidence, minlength=BINS)
    true = np.bincount(place, weights=real.astype(float), minlength=BINS)
    return float(np.abs(stated - true).sum() / rows.sum())


def _auc(scores: Doubles, real: Bools) -> float:
    """By counting, ties as one half (Mann and Whitney): a hundred times faster than by a curve, for the bootstrap."""
    if real.all() or not real.any():
        return float("nan")
    _, place = np.unique(scores, return_inverse=True)
    hits, misses = np.bincount(place[real], minlength=place.max() + 1), np.bincount(place, minlength=place.max() + 1)
    misses = misses - hits
    below = np.cumsum(misses) - misses
    return float((hits * (below + misses / 2)).sum() / (hits.sum() * misses.sum()))


def _fitted(scores: Doubles, real: Bools, kind: str) -> Any:
    """A rising function from confidence to probability."""
    if not len(scores) or real.all() or not real.any():
        rate = float(real.mean()) if len(real) else 0.5
        return lambda given: np.full(len(given), rate)
    if kind == "isotonic":
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, real).predict
    model = LogisticRegression().fit(_logit(scores), real)
    if model.coef_[0, 0] < 0:
        # A negative slope would invert the scores: fall back to the base rate.
        return lambda given: np.full(len(given), float(real.mean()))
    return lambda given: model.predict_proba(_logit(given))[:, 1] if len(given) else np.empty(0)


def _logit(scores: Doubles) -> Doubles:
    clipped = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(clipped / (1 - clipped)).reshape(-1, 1)
