"""Popularity: items ranked by their number of interactions, equally for all users; the baseline of every study."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from .recommender import FitContext, ModelConfig, fitted, learnt_from


class Popularity:
    """An item's score is the sum of the weights of its interactions."""

    name: ClassVar[str] = "popularity"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, config: ModelConfig | None = None) -> None:
        self.config = config or ModelConfig()
        self.count: Floats | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        data = learnt_from(self.config, train, valid)
        self.count = np.bincount(data.item, data.weight, minlength=data.n_items).astype(np.float32)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return np.tile(fitted(self.name, self.count), (len(users), 1))

    def state(self) -> Arrays:
        return {"count": fitted(self.name, self.count)}

    def restore(self, state: Arrays) -> None:
        self.count = state["count"]
