"""Robust training of SASRec and GRU4Rec: truncated (T-CE) and re-weighted (R-CE) cross-entropy.

Wang et al. 2021, "Denoising Implicit Feedback for Recommendation" (WSDM), where the loss is binary cross-entropy on
pairs. Here it is the softmax at each position of a sequence, over the catalogue or, with a sampled loss, over the
sampled items; R-CE's weight p^beta is divided by its batch mean, because a softmax over thousands of items has no
absolute scale. That transfer is our own. Only targets are weighed: noisy items remain inputs of later positions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..data.dataset import Dataset
from ..models.gru4rec import GRU4Rec, GRU4RecConfig
from ..models.sasrec import SASRec, SASRecConfig
from ..models.sequence import Sequence, spread
from ..training.config import Config, TrainingConfig
from ..training.space import Range, Space
from ..training.terms import Term

Rule = Literal["truncate", "reweight"]


class RobustSettings(Config):
    """How the losses of a batch's targets decide what each target counts."""

    rule: Rule = "truncate"
    """truncate: the largest losses of a batch count 0 (T-CE); reweight: a target of probability p counts p^beta, over
    the batch's mean of it (R-CE)."""
    drop: float = Field(0.1, ge=0, lt=1)
    """truncate: largest share of a batch that is dropped."""
    drop_steps: PositiveInt = 500
    """truncate: training steps over which that share grows linearly from 0: early losses are large everywhere."""
    beta: float = Field(0.25, ge=0)
    """reweight: exponent of the probability; 0 weighs all targets alike."""

    space: ClassVar[Space] = {
        "drop": Range(0.0, 0.3, when={"rule": "truncate"}),
        "beta": Range(0.0, 1.0, when={"rule": "reweight"}),
    }


class RobustSASRecConfig(SASRecConfig, RobustSettings):
    """Settings of SASRec and of the robust loss."""


class RobustGRU4RecConfig(GRU4RecConfig, RobustSettings):
    """Settings of GRU4Rec and of the robust loss."""


class RobustSASRec(SASRec):
    """SASRec trained by truncated or re-weighted cross-entropy."""

    name: ClassVar[str] = "robust_sasrec"
    Config: ClassVar[type[TrainingConfig]] = RobustSASRecConfig

    def __init__(self, config: RobustSASRecConfig | None = None) -> None:
        self.robust = config or RobustSASRecConfig()
        super().__init__(self.robust)

    def terms(self, network: Sequence, train: Dataset) -> list[Term]:
        return robust(super().terms(network, train), network, train.n_items, self.robust)


class RobustGRU4Rec(GRU4Rec):
    """GRU4Rec trained by truncated or re-weighted cross-entropy."""

    name: ClassVar[str] = "robust_gru4rec"
    Config: ClassVar[type[TrainingConfig]] = RobustGRU4RecConfig

    def __init__(self, config: RobustGRU4RecConfig | None = None) -> None:
        self.robust = config or RobustGRU4RecConfig()
        super().__init__(self.robust)

    def terms(self, network: Sequence, train: Dataset) -> list[Term]:
        return robust(super().terms(network, train), network, train.n_items, self.robust)


def robust(
    terms: list[Term], network: Sequence, pad: int, config: RobustSASRecConfig | RobustGRU4RecConfig
) -> list[Term]:
    """Next-item terms, the first with its targets' weights multiplied by `trust`; the others are unchanged."""
    first, *others = terms
    step = 0

    def loss(users: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor, sampled: Tensor) -> Tensor:
        nonlocal step
        with torch.no_grad():
            own = target_losses(network, network(users, inputs), inputs != pad, targets, sampled)
        trusted_weights = weights * trust(own, config.rule, dropped(config.drop, step, config.drop_steps), config.beta)
        step += 1
        return first.loss(users, inputs, targets, trusted_weights, sampled)

    return [replace(first, loss=loss), *others]


def target_losses(network: Sequence, states: Tensor, real: Tensor, targets: Tensor, sampled: Tensor) -> Tensor:
    """(n,) cross-entropy of each target over the catalogue, or over the items `sampled` (batch, k) for its window.

    states (n, size) and targets (n,) are those of the positions where `real` (batch, time) is true; k = 0 means the
    whole catalogue.
    """
    if not sampled.shape[1]:
        return cross_entropy(states @ network.items.T, targets, reduction="none")
    others = (spread(states, real) @ network.items[sampled].transpose(1, 2))[real]
    positive = (states * network.items[targets]).sum(1)
    return torch.logsumexp(torch.cat([positive[:, None], others], 1), 1) - positive


def trust(losses: Tensor, rule: Rule, drop: float, beta: float) -> Tensor:
    """(n,) weights, >= 0, of the targets of a batch with these losses (n,).

    truncate: 0 for the floor(drop * n) largest, 1 for the others. reweight: p^beta divided by its batch mean.
    """
    if rule == "truncate":
        trusted = torch.ones_like(losses)
        count = int(drop * len(losses))
        if count:
            trusted[losses.topk(count).indices] = 0
        return trusted
    share = (-beta * (losses - losses.min())).exp()
    return share / share.mean()


def dropped(drop: float, step: int, steps: int) -> float:
    """The share dropped at a step: grows linearly from 0 to `drop` over `steps` (Wang et al. 2021, eq. 4)."""
    return min(drop, drop * step / steps)
