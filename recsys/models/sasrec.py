"""SASRec: self-attention over a user's history, oldest to newest, predicts at every place the item that came next.

Kang & McAuley 2018, "Self-Attentive Sequential Recommendation". Every place of a window is a training example at once;
the loss is a softmax over the catalogue (Klenitskiy & Vasilev 2023 show that this, not the architecture, is what
BERT4Rec gained from), a sampled softmax, or gBCE (Petrov & Macdonald 2023).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..training import loop as training
from ..training.checkpoints import Arrays
from ..training.space import Range, Space
from .attention import Attention
from .recommender import FitContext, fitted, with_positive_weight
from .sequence import NextItemConfig, Sequence, last_scores, next_item_terms, started, state_vectors, user_features


class SASRecConfig(NextItemConfig):
    max_length: PositiveInt = 50
    """Items of history seen, newest last (Kang & McAuley 2018: 50 for sparse data, 200 for MovieLens)."""
    blocks: PositiveInt = 2
    """Self-attention blocks (Kang & McAuley 2018, section IV-C)."""
    heads: PositiveInt = 1
    """Attention heads; must divide embedding_size (the paper found 1 to be best)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after the embedding and in each block. The paper has .2 for MovieLens-1M and .5 for
    sparse data; on ml-100k .2, .4 and .5 reach NDCG@10 .108, .115 and .124 on the validation side."""

    space: ClassVar[Space] = {"blocks": Range(1, 3)}

    @model_validator(mode="after")
    def _heads_fit(self) -> SASRecConfig:
        if self.embedding_size % self.heads:
            raise ConfigError(f"heads: {self.heads} does not divide embedding_size {self.embedding_size}")
        return self


class SASRec:
    """score(u, i) = state after the newest item of u . vector of i. A user without history has state 0: all items tie.

    Agents' user vectors enter as a linear map of them, zero at the start, added to every state of that user.
    """

    name: ClassVar[str] = "sasrec"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs", "item_vectors", "user_vectors"})
    Config: ClassVar[type[training.TrainingConfig]] = SASRecConfig

    def __init__(self, config: SASRecConfig | None = None) -> None:
        self.config = config or SASRecConfig()
        self.network: Sequence | None = None
        self.log: training.Log | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        self.network, self.log = training.fit(self, train, valid, context)

    def build(self, train: Dataset) -> Sequence:
        return started(self._network(train.n_items, user_features(train, self.config.embedding_size)), train)

    def _network(self, n_items: int, user_vectors: Tensor | None) -> Sequence:
        c = self.config
        body = Attention(c.embedding_size, c.max_length, c.blocks, c.heads, c.dropout, causal=True)
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
