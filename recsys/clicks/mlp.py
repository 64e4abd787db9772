"""The feed-forward network of most click models: linear layers, ReLU and dropout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..models.dropout import Dropout


def feed_forward(inputs: int, layers: Sequence[int], dropout: float, outputs: int | None = 1) -> nn.Sequential:
    """A network from (n, inputs) to (n, outputs); outputs=None leaves the last linear layer out."""
    parts: list[nn.Module] = []
    for width in layers:
        parts += [nn.Linear(inputs, width), nn.ReLU(), Dropout(dropout)]
        inputs = width
    return nn.Sequential(*parts, *([] if outputs is None else [nn.Linear(inputs, outputs)]))
