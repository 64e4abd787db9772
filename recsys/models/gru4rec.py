"""GRU4Rec: a recurrent network reads a user's history, oldest to newest, and predicts the item that comes next.

Hidasi, Karatzoglou, Baltrunas & Tikk 2016, "Session-based Recommendations with Recurrent Neural Networks". Item vectors
are shared between input and output, and the default loss is a softmax over the catalogue.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..training import loop as training
from ..training.checkpoints import Arrays
from ..training.space import Among, Space
from .recommender import FitContext, fitted, with_positive_weight
from .sequence import (
    NextItemConfig,
    Sequence,
    last_scores,
    next_item_terms,
    spread,
    started,
    state_vectors,
    user_features,
)


class GRU4RecConfig(NextItemConfig):
    hidden_size: PositiveInt = 128
    """Length of the recurrent state (Hidasi et al. 2016: 100)."""
    layers: PositiveInt = 1
    """Recurrent layers (Hidasi et al. 2016 found one to be best)."""
    learning_rate: PositiveFloat = 2e-3
    """Adam's step size. On the validation side of ml-100k NDCG@10 is .132 with dropout .5, and .113 at 1e-3 with .3."""

    space: ClassVar[Space] = {"hidden_size": Among((64, 128, 256))}


class Recurrence(nn.Module):
    """(places, size) to (places, size) through a GRU that never sees what comes later."""

    def __init__(self, size: int, hidden_size: int, layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(size, hidden_size, layers, batch_first=True)
        self.out = nn.Linear(hidden_size, size)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        return self.out(self.gru(spread(x, real))[0][real])


class GRU4Rec:
    """score(u, i) = state after the newest item of u . vector of i. Without history the state is 0: all items tie."""

    name: ClassVar[str] = "gru4rec"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs", "item_vectors", "user_vectors"})
    Config: ClassVar[type[training.TrainingConfig]] = GRU4RecConfig

    def __init__(self, config: GRU4RecConfig | None = None) -> None:
        self.config = config or GRU4RecConfig()
        self.network: Sequence | None = None
        self.log: training.Log | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        self.network, self.log = training.fit(self, train, valid, context)

    def build(self, train: Dataset) -> Sequence:
        return started(self._network(train.n_items, user_features(train, self.config.embedding_size)), train)

    def _network(self, n_items: int, user_vectors: Tensor | None) -> Sequence:
        c = self.config
        body = Recurrence(c.embedding_size, c.hidden_size, c.layers)
        return Sequence(n_items, c.embedding_size, c.dropout, body, user_vectors)

    def terms(self, network: Sequence, train: Dataset) -> list[training.Term]:
        return next_item_terms(network, train, self.config)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.scores(fitted(self.name, self.network), users, with_positive_weight(history))

    def scores(self, network: Sequence, users: Ints, history: Dataset) -> Floats:
        return last_scores(network, users, history, self.config.max_length)

    def item_vectors(self) -> Floats:
        return fitted(self.name, self.network).items.detach().cpu().numpy()

    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        return state_vectors(
            fitted(self.name, self.network), users, with_positive_weight(history), self.config.max_length
        )

    def state(self) -> Arrays:
        return training.state(fitted(self.name, self.network))

    def restore(self, state: Arrays) -> None:
        vectors = torch.from_numpy(state["user_vectors"]) if "user_vectors" in state else None
        self.network = self._network(len(state["items"]), vectors)
        training.restore(self.network, state)
