"""DCN-V2: cross layers with a full or low-rank matrix, before or in parallel with a feed-forward network.

Wang, Shivanna, Cheng, Jain, Lin, Hong & Chi 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for
Web-scale Learning to Rank Systems". The mixture of low-rank experts is not implemented: there is one expert.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .mlp import feed_forward
from .model import ClickConfig, ClickModel, EmbeddingConfig


class DCNv2Config(EmbeddingConfig):
    crosses: PositiveInt = 2
    """Cross layers: interactions reach degree crosses + 1."""
    rank: NonNegativeInt = 0
    """Rank of a cross layer's matrix, U V^T; 0 is the full matrix."""
    structure: Literal["stacked", "parallel"] = "stacked"
    """stacked: the crossed vector is the feed-forward network's input; parallel: a last layer combines the two."""
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers of the feed-forward network."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class MatrixCross(nn.Module):
    """x_l+1 = x_0 * (W_l x_l + b_l) + x_l (Wang et al. 2021, eq. 1); W_l = U_l V_l^T of a given rank (eq. 2)."""

    def __init__(self, width: int, depth: int, rank: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))
            if rank
            else nn.Linear(width, width)
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) from (n, width)."""
        crossed = x
        for layer in self.layers:
            crossed = x * layer(crossed) + crossed
        return crossed


class CrossThenDeep(nn.Module):
    def __init__(self, width: int, config: DCNv2Config) -> None:
        super().__init__()
        self.stacked = config.structure == "stacked"
        self.cross = MatrixCross(width, config.crosses, config.rank)
        self.deep = feed_forward(width, config.layers, config.dropout, outputs=None)
        deep = config.layers[-1] if config.layers else width
        self.out = nn.Linear(deep if self.stacked else deep + width, 1)

    def forward(self, row: Embedded) -> Tensor:
        x = row.vectors.flatten(1)
        crossed = self.cross(x)
        joined = self.deep(crossed) if self.stacked else torch.cat([crossed, self.deep(x)], 1)
        output: Tensor = self.out(joined)[:, 0]
        return output


class DCNv2(ClickModel[DCNv2Config]):
    """Cross layers with a matrix each, before or in parallel with a feed-forward network."""

    name: ClassVar[str] = "dcnv2"
    Config: ClassVar[type[ClickConfig]] = DCNv2Config

    def body(self, fields: Fields) -> nn.Module:
        return CrossThenDeep(fields.n_fields * self.config.embedding_size, self.config)
