"""DeepFM: the sum of a factorisation machine and a feed-forward network over the same vectors.

Guo, Tang, Ye, Li & He 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction".
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..training.space import Range, Space
from .embedding import Embedded, Fields
from .fm import pairwise
from .mlp import feed_forward
from .model import ClickConfig, ClickModel, EmbeddingConfig


class DeepFMConfig(EmbeddingConfig):
    layers: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers (Guo et al. 2017: 400, 400, 400)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped after each hidden layer."""

    space: ClassVar[Space] = {"dropout": Range(0.0, 0.7)}


class DeepMachine(nn.Module):
    """y_FM + y_DNN (Guo et al. 2017, eq. 1)."""

    def __init__(self, inputs: int, config: DeepFMConfig) -> None:
        super().__init__()
        self.deep = feed_forward(inputs, config.layers, config.dropout)

    def forward(self, row: Embedded) -> Tensor:
        output: Tensor = row.weights.sum(1) + pairwise(row.vectors) + self.deep(row.vectors.flatten(1))[:, 0]
        return output


class DeepFM(ClickModel[DeepFMConfig]):
    """A factorisation machine and a feed-forward network that share their vectors."""

    name: ClassVar[str] = "deepfm"
    Config: ClassVar[type[ClickConfig]] = DeepFMConfig
    weighed: ClassVar[bool] = True

    def body(self, fields: Fields) -> nn.Module:
        return DeepMachine(fields.n_fields * self.config.embedding_size, self.config)
