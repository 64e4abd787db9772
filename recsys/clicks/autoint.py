"""AutoInt: layers of self-attention over the fields of a row.

Song, Shi, Xiao, Duan, Xu, Zhang & Tang 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural
Networks". With `layers` it is the paper's AutoInt+, which adds a feed-forward network.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .mlp import feed_forward
from .model import ClickConfig, ClickModel, EmbeddingConfig


class AutoIntConfig(EmbeddingConfig):
    attentions: PositiveInt = 2
    """Interacting layers (Song et al. 2019: 3)."""
    heads: PositiveInt = 2
    """Heads of each (Song et al. 2019: 2)."""
    head_size: PositiveInt = 8
    """Size of a head (Song et al. 2019: 32)."""
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers of a parallel feed-forward network; empty for the plain AutoInt."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class Interacting(nn.Module):
    """relu(concat over heads of sum_k softmax(q_m . k_k) v_k + W_res e_m) for each field m (eq. 5 to 8)."""

    def __init__(self, inputs: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(inputs, 4 * heads * size, bias=False)

    def forward(self, fields: Tensor) -> Tensor:
        """(n, f, heads * size) from (n, f, inputs)."""
        n, f, _ = fields.shape
        query, key, value, residual = self.project(fields).chunk(4, 2)
        query, key, value = (x.view(n, f, self.heads, -1).transpose(1, 2) for x in (query, key, value))
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        output: Tensor = (mixed.transpose(1, 2).reshape(n, f, -1) + residual).relu()
        return output


class AttentiveFields(nn.Module):
    def __init__(self, fields: int, config: AutoIntConfig) -> None:
        super().__init__()
        size = config.heads * config.head_size
        inputs = [config.embedding_size, *[size] * (config.attentions - 1)]
        self.attention = nn.Sequential(*(Interacting(i, config.heads, config.head_size) for i in inputs))
        self.out = nn.Linear(fields * size, 1)
        wide = fields * config.embedding_size
        self.deep = feed_forward(wide, config.layers, config.dropout) if config.layers else None

    def forward(self, row: Embedded) -> Tensor:
        odds = self.out(self.attention(row.vectors).flatten(1))
        output: Tensor = (odds if self.deep is None else odds + self.deep(row.vectors.flatten(1)))[:, 0]
        return output


class AutoInt(ClickModel[AutoIntConfig]):
    """Self-attention over the fields of a row, by default in parallel with a feed-forward network (AutoInt+)."""

    name: ClassVar[str] = "autoint"
    Config: ClassVar[type[ClickConfig]] = AutoIntConfig

    def body(self, fields: Fields) -> nn.Module:
        return AttentiveFields(fields.n_fields, self.config)
