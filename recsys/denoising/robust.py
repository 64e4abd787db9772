"""Training that trusts large losses less: truncated (T-CE) and re-weighted (R-CE) cross-entropy on SASRec and GRU4Rec.

Wang et al. 2021, "Denoising Implicit Feedback for Recommendation" (WSDM), where the loss is binary cross-entropy on
pairs. Here it is the softmax at each place of a sequence, over the catalogue or, under a sampled loss, over the items
drawn, so R-CE's weight p^beta is taken relative to the mean of its batch (a softmax over thousands of items has no
absolute scale). That transfer is our own. Only targets are weighed: what is noise still stands in the history before
the others.
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
from ..training.config import TrainingConfig
from ..training.terms import Term

Rule = Literal["truncate", "reweight"]


class RobustSASRecConfig(SASRecConfig):
    rule: Rule = "truncate"
    """truncate: the largest losses of a batch teach nothing (T-CE); reweight: the less likely, the less (R-CE)."""
    drop: float = Field(0.1, ge=0, lt=1)
    """truncate: largest share of a batch that is dropped."""
    drop_steps: PositiveInt = 500
    """truncate: steps of training over which that share grows from 0, for large losses are common at first."""
    beta: float = Field(0.25, ge=0)
    """reweight: exponent of the probability; 0 weighs all alike."""


class RobustGRU4RecConfig(GRU4RecConfig):
    rule: Rule = "truncate"
    """As in RobustSASRecConfig."""
    drop: float = Field(0.1, ge=0, lt=1)
    """As in RobustSASRecConfig."""
    drop_steps: PositiveInt = 500
    """As in RobustSASRecConfig."""
    beta: float = Field(0.25, ge=0)
    """As in RobustSASRecConfig."""


class RobustSASRec(SASRec):
    """SASRec by truncated or re-weighted cross-entropy. In a study: `recloop.recsys.denoising.robust:RobustSASRec`."""

    name: ClassVar[str] = "robust_sasrec"
    Config: ClassVar[type[TrainingConfig]] = RobustSASRecConfig

    def __init__(self, config: RobustSASRecConfig | None = None) -> None:
        self.robust = config or RobustSASRecConfig()
        super().__init__(self.robust)

    def terms(self, network: Sequence, train: Dataset) -> list[Term]:
        return robust(super().terms(network, train), network, train.n_items, self.robust)


class RobustGRU4Rec(GRU4Rec):
    """GRU4Rec by the same."""

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
    """Next-item terms whose first one counts its targets by their own losses; the others stay."""
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
    """(n,) cross-entropy of each target among the catalogue, or among the items `drawn` (batch, k) for its window.

    states (n, size) and targets (n,) are those of the places where `real` (batch, time) is true; k = 0: the catalogue.
    """
    if not sampled.shape[1]:
        return cross_entropy(states @ network.items.T, targets, reduction="none")
    others = (spread(states, real) @ network.items[sampled].transpose(1, 2))[real]
    positive = (states * network.items[targets]).sum(1)
    return torch.logsumexp(torch.cat([positive[:, None], others], 1), 1) - positive


def trust(losses: Tensor, rule: Rule, drop: float, beta: float) -> Tensor:
    """(n,) what each of a batch's losses (n,) counts, >= 0.

    truncate: 0 for the floor(drop * n) largest, 1 for the others. reweight: p^beta over the batch's mean of it.
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
    """The share dropped at a step: from 0 linearly to `drop` (Wang et al. 2021, eq. 4)."""
    return min(drop, drop * step / steps)
