"""Deep & Cross Network: cross layers of one vector each, in parallel with a feed-forward network.

Wang, Fu, Fu & Wang 2017, "Deep & Cross Network for Ad Click Predictions".
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .mlp import feed_forward
from .model import ClickConfig, ClickModel, EmbeddingConfig


class DCNConfig(EmbeddingConfig):
    crosses: PositiveInt = 3
    """Cross layers: interactions reach degree crosses + 1 (Wang et al. 2017: 1 to 6)."""
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers of the feed-forward network."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class Cross(nn.Module):
    """x_l+1 = x_0 (x_l . w_l) + b_l + x_l (Wang et al. 2017, eq. 3)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(depth, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(depth, width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) from (n, width)."""
        crossed = x
        for weight, bias in zip(self.weight, self.bias, strict=True):
            crossed = x * (crossed @ weight)[:, None] + bias + crossed
        return crossed


class CrossAndDeep(nn.Module):
    """Both parts read the same vectors; one linear layer combines their outputs (Wang et al. 2017, eq. 5)."""

    def __init__(self, width: int, config: DCNConfig) -> None:
        super().__init__()
        self.cross = Cross(width, config.crosses)
        self.deep = feed_forward(width, config.layers, config.dropout, outputs=None)
        self.out = nn.Linear(width + (config.layers[-1] if config.layers else width), 1)

    def forward(self, row: Embedded) -> Tensor:
        x = row.vectors.flatten(1)
        output: Tensor = self.out(torch.cat([self.cross(x), self.deep(x)], 1))[:, 0]
        return output


class DCN(ClickModel[DCNConfig]):
    """Cross layers of one vector each, in parallel with a feed-forward network."""

    name: ClassVar[str] = "dcn"
    Config: ClassVar[type[ClickConfig]] = DCNConfig

    def body(self, fields: Fields) -> nn.Module:
        return CrossAndDeep(fields.n_fields * self.config.embedding_size, self.config)
