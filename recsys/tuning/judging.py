"""What hyperparameters are worth: fitted on train, judged on validation; there is no test side here to be read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError
from ..clicks.rows import labels
from ..data.dataset import Dataset, Ints, Split
from ..evaluation import auc, evaluate, logloss
from ..models.recommender import FitContext
from ..models.table import Storable, model
from ..models.train_config import TrainConfig
from ..training.loop import Log, TrainingConfig
from .config import CLICK_METRICS, TuneConfig


@dataclass(frozen=True, slots=True)
class Judged:
    """One trial's outcome: the figure of each seed, the best epoch of each where there are epochs, and the seconds."""

    figures: tuple[float, ...]
    epochs: tuple[int, ...]
    seconds: float

    @property
    def value(self) -> float:
        return float(np.mean(self.figures))


def judged(
    name: str, settings: Mapping[str, Any], train: Dataset, valid: Dataset, where: TrainConfig, how: TuneConfig
) -> Judged:
    """Fits the model once a seed (once, if it has no randomness) and measures each fit on `valid`.

    Raises ConfigError where a training diverges, or where the metric is not one of this model.
    """
    began = time.monotonic()
    figures, epochs = [], []
    for seed in seeds_of(name, settings, where.seeds):
        fresh = model(name, **shortened(name, settings, where, how))
        fresh.fit(train, valid, FitContext(seed, where.device, where.threads))
        figures.append(figure(fresh, train, valid, how))
        log = getattr(fresh, "log", None)
        if isinstance(log, Log):
            epochs.append(log.best_epoch)
    return Judged(tuple(figures), tuple(epochs), time.monotonic() - began)


def figure(fitted: Storable, train: Dataset, valid: Dataset, how: TuneConfig) -> float:
    """`how.metric` of a fitted model on the validation side, known: train."""
    if how.metric not in CLICK_METRICS:
        sides = Split(train, valid, valid)
        ranked = evaluate(fitted, sides, metrics=[how.metric], side="valid", users=ranked_users(valid, how))
        return ranked.mean(how.metric)
    predict = getattr(fitted, "predict", None)
    if predict is None:
        raise ConfigError(f"tune.metric: {how.metric} needs chances of clicks, which {fitted.name} does not give")
    threshold = float(getattr(fitted.config, "threshold", 4.0))
    truth, chances = labels(valid, threshold), predict(valid, train)
    return float(auc(truth, chances) if how.metric == "auc" else logloss(truth, chances))


def ranked_users(valid: Dataset, how: TuneConfig) -> Ints:
    """The users that judge a trial: those with something held out, drawn by `how.seed` where there are too many."""
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if how.users is None or len(users) <= how.users:
        return users
    return np.sort(np.random.default_rng([how.seed, 0]).choice(users, how.users, replace=False))


def shortened(name: str, settings: Mapping[str, Any], where: TrainConfig, how: TuneConfig) -> dict[str, Any]:
    """The hyperparameters with the number of epochs that the file's limits leave of them."""
    fresh = model(name, **settings)
    if not isinstance(fresh.config, TrainingConfig):
        return dict(settings)
    own = settings.get("epochs", where.epochs or fresh.config.epochs)
    return {**settings, "epochs": min(own, how.epochs.get(name, own))}


def seeds_of(name: str, settings: Mapping[str, Any], seeds: Sequence[int]) -> Sequence[int]:
    """The seeds that make a difference: the first alone where the model has no randomness."""
    fresh = model(name, **settings)
    drawn = isinstance(fresh.config, TrainingConfig) or getattr(fresh, "starts_at_random", False)
    return seeds if drawn else seeds[:1]
