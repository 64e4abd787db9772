"""Logistic regression: one weight for every value of every field; the baseline of click prediction.

Richardson, Dominowska & Ragno 2007, "Predicting Clicks: Estimating the Click-Through Rate for New Ads".
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveFloat
from torch import Tensor, nn

from .embedding import Embedded, Fields
from .model import ClickConfig, ClickModel


class LogisticConfig(ClickConfig):
    learning_rate: PositiveFloat = 3e-3


class Linear(nn.Module):
    """Sum of the weights."""

    def forward(self, row: Embedded) -> Tensor:
        return row.weights.sum(1)


class Logistic(ClickModel[LogisticConfig]):
    """The sum of the weights of a row's field values. Without interactions every user gets the same ranking."""

    name: ClassVar[str] = "logistic"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs"})
    Config: ClassVar[type[ClickConfig]] = LogisticConfig
    weighed: ClassVar[bool] = True

    def body(self, fields: Fields) -> nn.Module:
        return Linear()
