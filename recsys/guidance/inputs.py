"""Inputs of the gate for a scored pair: history length, popularity, the model's uncertainty, LLM spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats
from ..data.groups import ColdConfig, HeadConfig, cold, head
from ..models.dropout import Dropout
from .scores import PairScores

Input = Literal["cold", "tail", "history", "popularity", "uncertainty", "spread"]
Uncertainty = Literal["probability", "entropy", "dropout"]

PASSES = 5
"""Forward passes with dropout whose variance is the uncertainty."""


def fixed_inputs(
    scores: PairScores, train: Dataset, names: tuple[Input, ...], cold_users: ColdConfig, head_items: HeadConfig
) -> Floats:
    """(n, len(names)) inputs of every scored pair, computed from the train side.

    cold, tail: 1 or 0. history, popularity: log(1 + count), standardised over the scored pairs. spread: standardised,
    0 where unknown. uncertainty: 0 here, because it changes with the network.
    """
    columns: dict[Input, Callable[[], Floats]] = {
        "cold": lambda: cold(train, cold_users)[scores.user].astype(np.float32),
        "tail": lambda: (~head(train, head_items))[scores.item].astype(np.float32),
        "history": lambda: standardised(np.log1p(train.user_counts[scores.user])),
        "popularity": lambda: standardised(np.log1p(train.item_counts[scores.item])),
        "spread": lambda: standardised(scores.spread),
        "uncertainty": lambda: np.zeros(len(scores), np.float32),
    }
    made = [columns[name]() for name in names]
    return np.stack(made, axis=1).astype(np.float32) if made else np.zeros((len(scores), 0), np.float32)


def standardised(values: np.ndarray) -> Floats:
    """Standard scores of `values`; 0 where unknown (NaN) or if all are equal."""
    known = values[~np.isnan(values)]
    if known.size == 0 or known.std() < 1e-9:
        return np.zeros(len(values), np.float32)
    deviations: Floats = np.nan_to_num((values - known.mean()) / known.std()).astype(np.float32)
    return deviations


def uncertainty(chance: Tensor, kind: Uncertainty) -> Tensor:
    """(n,) uncertainty q in [0, 1] of probabilities: 2 (1 - max p), the entropy in bits, or 4 times the variance.

    chance: (n,), or (passes, n) for kind dropout, whose variance is over the passes. S-LLMR's q = 1 - max p is at most
    1/2 for two classes; it is doubled here so that the three kinds have one range.
    """
    if kind == "dropout":
        return 4 * chance.var(0, unbiased=False)
    if kind == "probability":
        return 2 * (1 - torch.maximum(chance, 1 - chance))
    p = chance.clamp(1e-7, 1 - 1e-7)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


def check_dropout(network: nn.Module, name: str) -> None:
    """Raises ConfigError for a network without dropout, whose passes would not vary."""
    shares = [
        getattr(m, "dropped", getattr(m, "p", 0)) for m in network.modules() if isinstance(m, nn.Dropout | Dropout)
    ]
    if not any(shares):
        raise ConfigError(f"uncertainty: dropout, but {name} drops nothing; take probability or entropy")
