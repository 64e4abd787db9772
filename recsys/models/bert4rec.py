"""BERT4Rec: bidirectional attention predicts randomly masked items; to recommend, a mask is appended to the history.

Sun et al. 2019, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from ...errors import ConfigError
from ..data.dataset import Dataset
from ..training import losses
from ..training.batches import Batch, pieces, windows
from ..training.config import TrainingConfig
from ..training.space import Range, Space
from ..training.terms import Term
from .attention import Attention
from .sequence import Sequence, SequenceConfig, SequenceModel, pair_terms, part_of_windows


class BERT4RecConfig(SequenceConfig):
    max_length: int = Field(50, ge=2)
    """Length of the input: the newest items and the mask after them."""
    blocks: PositiveInt = 2
    """Self-attention blocks (Sun et al. 2019, section 4.3)."""
    heads: PositiveInt = 2
    """Attention heads; must divide embedding_size."""
    hidden_share: float = Field(0.2, gt=0, lt=1)
    """Share of positions masked in training (Sun et al. 2019, table 4: .2 for MovieLens)."""
    dropout: float = Field(0.2, ge=0, lt=1)
    epochs: PositiveInt = 200

    space: ClassVar[Space] = {
        "blocks": Range(1, 3),
        "hidden_share": Range(0.1, 0.6),
    }

    @model_validator(mode="after")
    def _heads_fit(self) -> BERT4RecConfig:
        if self.embedding_size % self.heads:
            raise ConfigError(f"heads: {self.heads} does not divide embedding_size {self.embedding_size}")
        return self


class BERT4Rec(SequenceModel[BERT4RecConfig]):
    """score(u, i) = state of the mask after the newest item of u . vector of i; 0 without history."""

    name: ClassVar[str] = "bert4rec"
    Config: ClassVar[type[TrainingConfig]] = BERT4RecConfig
    hidden: ClassVar[bool] = True

    def body(self) -> nn.Module:
        c = self.config
        return Attention(c.embedding_size, c.max_length, c.blocks, c.heads, c.dropout, causal=False)

    def terms(self, network: Sequence, train: Dataset) -> list[Term]:
        """Cross-entropy of masked items; every window masks a share of its positions, at least one.

        Recommending masks the last position, so training must, too: half of the windows that end a history mask that
        position alone (Sun et al. 2019, section 3.6, add such samples).
        """
        config, pad = self.config, train.n_items

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            users, start, steps = pieces(train, config.max_length - 1, rng)
            order = rng.permutation(len(users))
            for first in range(0, len(order), config.batch_size):
                rows = order[first : first + config.batch_size]
                size = steps[rows] + 1
                seen = windows(train, users[rows], start[rows], size, int(size.max()), pad)
                real = seen.items != pad
                draws = np.where(real, rng.random(real.shape), 1.0)
                hide = draws < np.maximum(config.hidden_share, draws.min(1, keepdims=True) * (1 + 1e-9))
                ends = (start[rows] + size == train.indptr[users[rows] + 1]) & (rng.random(len(rows)) < 0.5)
                hide[ends] = np.arange(hide.shape[1]) == size[ends, None] - 1
                hide &= real
                yield (
                    users[rows],
                    np.where(hide, pad + 1, seen.items).astype(np.int32),
                    hide,
                    seen.items[hide].astype(np.int64),
                    train.weight[seen.rows[hide]],
                )

        def loss(users: Tensor, inputs: Tensor, hide: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
            states = network(users, inputs)[hide[inputs != pad]]
            return losses.catalogue_softmax(states, network.items, targets, weights)

        def part(batch: Batch, which: int, parts: int) -> tuple[Batch, float]:
            return part_of_windows(batch, batch[2].sum(1), (3, 4), which, parts)

        return [Term(batches, loss, part), *pair_terms(network, train, config, hidden=True)]
