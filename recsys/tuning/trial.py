"""One trial: hyperparameters fitted on train and measured on validation. No test side is read."""

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
    """One trial: the figure of each seed, the best epoch of each where there are epochs, and the seconds."""

    figures: tuple[float, ...]
    epochs: tuple[int, ...]
    seconds: float

    @property
    def value(self) -> float:
        return float(np.mean(self.figures))


def run_trial(
    name: str, settings: Mapping[str, Any], train: Dataset, valid: Dataset, where: TrainConfig, how: TuneConfig
) -> TrialResult:
    """Fits the model once a seed (once, if it has no randomness) and measures each fit on `valid`.

    Raises ConfigError where a training diverges, or where the metric is not one of this model.
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
    """`how.metric` of a fitted model on the validation side, known: train."""
    if how.metric not in CLICK_METRICS:
        sides = Split(train, valid, valid)
        ranked = evaluate(fitted, sides, metrics=[how.metric], side="valid", users=ranked_users(valid, how))
        return ranked.mean(how.metric)
    if not isinstance(fitted, ClickPredictor):
        raise ConfigError(f"tune.metric: {how.metric} needs chances of clicks, which {fitted.name} does not give")
    truth, chances = labels(valid, fitted.threshold), fitted.predict(valid, train)
    return float(auc(truth, chances) if how.metric == "auc" else logloss(truth, chances))


def ranked_users(valid: Dataset, how: TuneConfig) -> Ints:
    """The users that judge a trial: those with something held out, drawn by `how.seed` where there are too many."""
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if how.users is None or len(users) <= how.users:
        return users
    return np.sort(np.random.default_rng([how.seed, 0]).choice(users, how.users, replace=False))


def trial_settings(name: str, settings: Mapping[str, Any], where: TrainConfig, how: TuneConfig) -> dict[str, Any]:
    """The hyperparameters with the number of epochs that the file's limits leave of them."""
    values: dict[str, Any] = model_class(name).Config.with_epochs(settings, where.epochs, how.epochs.get(name))
    return values
