"""xDeepFM: explicit vector-wise interactions (CIN), plus scalar weights and a feed-forward network.

Lian, Zhou, Zhang, Chen, Xie & Sun 2018, "xDeepFM: Combining Explicit and Implicit Feature Interactions".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .mlp import feed_forward
from .model import ClickConfig, ClickModel, EmbeddingConfig


class XDeepFMConfig(EmbeddingConfig):
    cin: tuple[PositiveInt, ...] = (16, 16)
    """Feature maps of each layer of the CIN."""
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers of the feed-forward network."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class Interactions(nn.Module):
    """Compressed interaction network: X^k_h = sum_ij W^k,h_ij (X^k-1_i * X^0_j), each pooled by its sum over d.

    The activation is the identity, which the paper found best; the maps of all layers are outputs.
    """

    def __init__(self, fields: int, maps: Sequence[int]) -> None:
        super().__init__()
        before = [fields, *maps[:-1]]
        self.layers = nn.ModuleList(
            nn.Linear(last * fields, wide, bias=False) for last, wide in zip(before, maps, strict=True)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, sum of the maps) from (n, f, d)."""
        first = vectors.transpose(1, 2)
        last, pooled = first, []
        *inner, end = self.layers
        for layer in inner:
            last = layer((last[..., :, None] * first[..., None, :]).flatten(2))
            pooled.append(last.sum(1))
        # Of the last layer only the sum over d is needed, and that sum of products is a matrix product.
        return torch.cat([*pooled, end((last.transpose(1, 2) @ first).flatten(1))], 1)


class ExtremeMachine(nn.Module):
    """Weights + CIN + feed-forward."""

    def __init__(self, fields: int, config: XDeepFMConfig) -> None:
        super().__init__()
        self.cin = Interactions(fields, config.cin)
        self.out = nn.Linear(sum(config.cin), 1, bias=False)
        self.deep = feed_forward(fields * config.embedding_size, config.layers, config.dropout)

    def forward(self, row: Embedded) -> Tensor:
        explicit = self.out(self.cin(row.vectors))[:, 0]
        output: Tensor = row.weights.sum(1) + explicit + self.deep(row.vectors.flatten(1))[:, 0]
        return output


class XDeepFM(ClickModel[XDeepFMConfig]):
    """Vector-wise interactions, each layer raising the degree by one, plus weights and a feed-forward network."""

    name: ClassVar[str] = "xdeepfm"
    Config: ClassVar[type[ClickConfig]] = XDeepFMConfig
    weighed: ClassVar[bool] = True

    def body(self, fields: Fields) -> nn.Module:
        return ExtremeMachine(fields.n_fields, self.config)
