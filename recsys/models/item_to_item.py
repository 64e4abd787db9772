"""Item-to-item serving as a recommender: any model's inverted index, queried with a user's last items.

A common production set-up: neighbours of each item are computed offline, and a request adds up the lists of the user's
last items.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints, no_pairs
from ..training.checkpoints import Arrays
from ..training.progress import TrainingLog
from ..training.space import Among, Range, Space
from .capabilities import log_of
from .neighbours import InvertedIndex, index_of, queries
from .recommender import FitContext, ModelConfig, fitted, with_positive_weight
from .table import Storable
from .wrapper import WrapperConfig


class ItemToItemConfig(WrapperConfig):
    model: str = "swing"
    """The model whose similarities are served: itemknn, swing, ease, bpr, youtubednn, or any other with item-to-item
    weights or item vectors."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its hyperparameters. By default itemknn and swing have `k` neighbours per item here."""
    k: PositiveInt = 100
    """Neighbours stored for each item."""
    last: PositiveInt = 20
    """Number of a user's newest interactions that query the index."""
    decay: float = Field(1.0, gt=0, le=1)
    """Factor on an interaction's weight for each step back in time; 1 weighs all alike."""
    like: Literal["cosine", "dot"] = "cosine"
    """How the vectors of two items are compared, where the model has vectors."""

    space: ClassVar[Space] = {
        "k": Range(10, 500, log=True),
        "last": Range(1, 50, log=True),
        "decay": Among((1.0, 0.9, 0.8, 0.7, 0.5)),
    }

    def inner_settings(self) -> dict[str, Any]:
        own: dict[str, dict[str, Any]] = {
            "swing": {"neighbours": self.k},
            "itemknn": {"neighbours": self.k + 1, "neighbours_of": "history"},
        }
        return own.get(self.model, {}) | super().inner_settings()

    def inner(self) -> Storable:
        if self.model == ItemToItem.name:
            raise ConfigError("i2i: model i2i cannot serve itself; name the model whose similarities it is to serve")
        return super().inner()


class ItemToItem:
    """score(u, i) = sum over the last items j of u of decay ** age(j) * weight(u, j) * s(j, i), for i in j's list.

    `accepts` is what the inner model accepts, except preference pairs: they say nothing about similarity of items.
    """

    name: ClassVar[str] = "i2i"
    accepts: frozenset[str] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = ItemToItemConfig

    def __init__(self, config: ItemToItemConfig | None = None) -> None:
        self.config = config or ItemToItemConfig()
        self._model = self.config.inner()
        self.accepts = self._model.accepts - {"pairs"}
        self.index: InvertedIndex | None = None
        self.log: TrainingLog | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        self._model.fit(train.with_(pairs=no_pairs()), valid, context)
        self.index = index_of(self._model, self.config.k, self.config.like)
        self.log = log_of(self._model)

    def score(self, users: Ints, history: Dataset) -> Floats:
        index = fitted(self.name, self.index)
        requests = queries(users, with_positive_weight(history), self.config.last, self.config.decay)
        return np.asarray((requests @ index.matrix).toarray(), np.float32)

    def state(self) -> Arrays:
        index = fitted(self.name, self.index)
        return {"indptr": index.indptr, "items": index.items, "scores": index.scores}

    def restore(self, state: Arrays) -> None:
        self.index = InvertedIndex(state["indptr"], state["items"], state["scores"])
