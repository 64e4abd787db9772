"""DIN: liked items of the history are weighted by their relevance to the candidate item.

Zhou, Zhu, Song, Fan, Zhu, Ma, Yan, Jin, Li & Gai 2018, "Deep Interest Network for Click-Through Rate Prediction". The
activations are PReLU; the paper's Dice and its mini-batch aware regularisation are not built.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..models.dropout import Dropout
from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .model import ClickConfig, ClickModel, EmbeddingConfig


class DINConfig(EmbeddingConfig):
    max_length: PositiveInt = 20
    """Largest number of liked items of the history, the newest ones."""
    attention: PositiveInt = 36
    """Width of the activation unit's hidden layer (Zhou et al. 2018, figure 2: 36)."""
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers (Zhou et al. 2018, figure 2: 200, 80)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class Interest(nn.Module):
    """sum_j a(e_j, v) e_j over the liked items e_j of a row and the candidate item v (Zhou et al. 2018, eq. 3).

    The weights are not normalised: their sum is the intensity of the interest (section 4.3).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.activation, self.out = nn.Linear(4 * width, hidden), nn.PReLU(), nn.Linear(hidden, 1)

    def forward(self, item: Tensor, history: Tensor, real: Tensor) -> Tensor:
        """(n, w) from item (n, w) and history (r, w): the r true positions of `real` (n, length), row by row."""
        row = real.nonzero()[:, 0]
        # The unit's input is e, v, e - v and e * v, concatenated. Split, the part of v alone is computed once per row.
        liked, target, difference, product = self.first.weight.chunk(4, 1)
        hidden = F.linear(history, liked + difference) + F.linear(history * item[row], product)
        hidden = hidden + F.linear(item, target - difference, self.first.bias)[row]
        weight = self.out(self.activation(hidden))
        return item.new_zeros(item.shape).index_add(0, row, (weight * history).to(item.dtype))


class InterestNetwork(nn.Module):
    def __init__(self, fields: Fields, config: DINConfig) -> None:
        super().__init__()
        item = fields.n_item_fields * config.embedding_size
        self.interest = Interest(item, config.attention)
        inputs, parts = fields.n_fields * config.embedding_size + item, []
        for width in config.layers:
            parts += [nn.Linear(inputs, width), nn.PReLU(), Dropout(config.dropout)]
            inputs = width
        self.deep = nn.Sequential(*parts, nn.Linear(inputs, 1))

    def forward(self, row: Embedded) -> Tensor:
        interest = self.interest(row.item, row.history, row.real)
        output: Tensor = self.deep(torch.cat([row.vectors.flatten(1), interest], 1))[:, 0]
        return output


class DIN(ClickModel[DINConfig]):
    """A feed-forward network over a row's fields and the user's liked items, weighted by the candidate item."""

    name: ClassVar[str] = "din"
    Config: ClassVar[type[ClickConfig]] = DINConfig

    @property
    def history_length(self) -> int:
        return self.config.max_length

    def body(self, fields: Fields) -> nn.Module:
        return InterestNetwork(fields, self.config)
