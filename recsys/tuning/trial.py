"""One trial: a model with given hyperparameters fitted on train and evaluated on validation, without the test side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError
from ..clicks.rows import labels
from ..data.dataset import Dataset, Ints, Split
from ..evaluation import auc, evaluate, logloss
from ..models.capabilities import ClickPredictor, log_of
from ..models.recommender import FitContext
from ..models.table import Storable, model, model_class
from ..models.train_config import TrainConfig
from .config import CLICK_METRICS, TuneConfig


@dataclass(frozen=True, slots=True)
class TrialResult:
    """Result of a trial: the metric and, if there are epochs, the best epoch of each seed, and seconds in total."""

    figures: tuple[float, ...]
    epochs: tuple[int, ...]
    seconds: float

    @property
    def value(self) -> float:
        return float(np.mean(self.figures))


def run_trial(
    name: str, settings: Mapping[str, Any], train: Dataset, valid: Dataset, where: TrainConfig, how: TuneConfig
) -> TrialResult:
    """Fits the model once per seed (once if it is deterministic) and evaluates each fit on `valid`.

    Raises ConfigError if a training diverges, and for a metric that the model does not have.
    """
    began = time.monotonic()
    figures, epochs = [], []
    hyperparameters = trial_settings(name, settings, where, how)
    for seed in where.seeds_for(model(name, **hyperparameters).config):
        unfitted = model(name, **hyperparameters)
        unfitted.fit(train, valid, FitContext(seed, where.device, where.threads))
        figures.append(figure(unfitted, train, valid, how))
        if (log := log_of(unfitted)) is not None:
            epochs.append(log.best_epoch)
    return TrialResult(tuple(figures), tuple(epochs), time.monotonic() - began)


def figure(fitted: Storable, train: Dataset, valid: Dataset, how: TuneConfig) -> float:
    """`how.metric` of a fitted model on the validation side, with train as history."""
    if how.metric not in CLICK_METRICS:
        sides = Split(train, valid, valid)
        ranked = evaluate(fitted, sides, metrics=[how.metric], side="valid", users=ranked_users(valid, how))
        return ranked.mean(how.metric)
    if not isinstance(fitted, ClickPredictor):
        raise ConfigError(f"tune.metric: {how.metric} needs chances of clicks, which {fitted.name} does not give")
    truth, chances = labels(valid, fitted.threshold), fitted.predict(valid, train)
    return float(auc(truth, chances) if how.metric == "auc" else logloss(truth, chances))


def ranked_users(valid: Dataset, how: TuneConfig) -> Ints:
    """(n,) users ranked in a trial: those with validation rows, sampled by `how.seed` where there are too many."""
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if how.users is None or len(users) <= how.users:
        return users
    return np.sort(np.random.default_rng([how.seed, 0]).choice(users, how.users, replace=False))


def trial_settings(name: str, settings: Mapping[str, Any], where: TrainConfig, how: TuneConfig) -> dict[str, Any]:
    """The hyperparameters, with `epochs` after the limits of the file are applied."""
    values: dict[str, Any] = model_class(name).Config.with_epochs(settings, where.epochs, how.epochs.get(name))
    return values
