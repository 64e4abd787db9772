"""SASRec: causal self-attention over a user's history, oldest to newest, predicts the next item at every position.

Kang & McAuley 2018, "Self-Attentive Sequential Recommendation". Every position of a window is a training example; the
loss is a softmax over the catalogue (Klenitskiy & Vasilev 2023 show that BERT4Rec's gains come from it and not from the
architecture), a sampled softmax, or gBCE (Petrov & Macdonald 2023).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from ...errors import ConfigError
from ..data.dataset import Dataset
from ..training.config import TrainingConfig
from ..training.space import Range, Space
from ..training.terms import Term
from .attention import Attention
from .sequence import NextItemConfig, Sequence, SequenceModel, next_item_terms


class SASRecConfig(NextItemConfig):
    max_length: PositiveInt = 50
    """Number of newest items that are read (Kang & McAuley 2018: 50 for sparse data, 200 for MovieLens)."""
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


class SASRec(SequenceModel[SASRecConfig]):
    """score(u, i) = state after the newest item of u . vector of i. A user without history has state 0: all items tie.

    Agents' user vectors pass through a linear map, initialised to 0, whose output is added to every state of the user.
    """

    name: ClassVar[str] = "sasrec"
    Config: ClassVar[type[TrainingConfig]] = SASRecConfig

    def body(self) -> nn.Module:
        c = self.config
        return Attention(c.embedding_size, c.max_length, c.blocks, c.heads, c.dropout, causal=True)

    def terms(self, network: Sequence, train: Dataset) -> list[Term]:
        return next_item_terms(network, train, self.config)
