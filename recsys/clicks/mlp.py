"""The feed-forward part that most click models have: linear maps, ReLU and dropout."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..models.dropout import Dropout


def feed_forward(inputs: int, layers: Sequence[int], dropout: float, outputs: int | None = 1) -> nn.Sequential:
    """(n, inputs) to (n, outputs); without outputs, to what the last layer gives."""
    parts: list[nn.Module] = []
    for width in layers:
        parts += [nn.Linear(inputs, width), nn.ReLU(), Dropout(dropout)]
        inputs = width
    return nn.Sequential(*parts, *([] if outputs is None else [nn.Linear(inputs, outputs)]))
