"""Selective guidance: settings of the loss term that adds an LLM's pair order, weighted by a gate (S-LLMR).

L = L_rec + weight * mean over a step's pairs of alpha_uij * form(s_ui - s_uj). The paper (arXiv 2512.21526) has the
hinge, lambda = .1 and a gate trained by the same loss; settings that are our own say so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ..data.groups import ColdConfig, HeadConfig
from ..models.recommender import Config
from .gates import GateKind
from .inputs import Input, Uncertainty

PAPER_INPUTS: tuple[Input, ...] = ("cold", "tail", "uncertainty")
ALL_INPUTS: tuple[Input, ...] = ("cold", "tail", "history", "popularity", "uncertainty", "spread")


class Selective(Config):
    """Which LLM scores enter the loss, in which form and with which weight."""

    gate: GateKind = "held_out"
    """Kind of gate, which weights pairs; see `docs/selective.md`."""
    form: Literal["hinge", "logistic", "pointwise", "distilled"] = "hinge"
    """hinge, logistic: loss of the difference of two items; pointwise: squared error against the LLM's score;
    distilled: the LLM's scores of a user as a soft label."""
    weight: NonNegativeFloat = 0.1
    """Lambda: weight of the mean over a step's pairs, relative to the mean over its interactions (the paper: .1)."""
    margin: float = 1.0
    """Margin of hinge and logistic, in units of the recommender's scores; our own choice."""
    pairs: PositiveInt | None = 10
    """Largest number of pairs per user, widest gaps first; null: every pair, which is global distillation."""
    least_gap: float = Field(0.1, ge=0, le=1)
    """Smallest difference of two LLM scores of a pair; our own choice."""
    per_item: PositiveInt | None = None
    """Largest number of pairs of a user that an item is in; null: no limit, as in the paper."""
    inputs: tuple[Input, ...] | None = None
    """Inputs of the gate; null: cold, tail, uncertainty for `paper` and `normalised`, all six for `held_out`."""
    uncertainty: Uncertainty = "probability"
    """Uncertainty q of the recommender, recomputed at the beginning of every epoch: 1 - max p, entropy, or variance
    under dropout."""
    cold: ColdConfig = ColdConfig()
    """Users for whom the input `cold` is 1."""
    head: HeadConfig = HeadConfig()
    """Items for which the input `tail` is 0."""
    budget: float = Field(0.5, gt=0, le=1)
    """normalised: the mean weight of the pairs of a step."""
    gate_users: float = Field(0.5, gt=0, lt=1)
    """held_out: share of the validation users that the gate is fitted to; they take no part in early stopping."""
    shrinkage: NonNegativeFloat = 1.0
    """held_out: L2 penalty on the gate's weights, in units of users; our own choice."""
    threshold: float | None = None
    """held_out: smallest rating of a held-out row that counts as taken; null: every row does."""
    temperature: PositiveFloat = 0.1
    """distilled: sharpens the LLM's scores, which lie in [0, 1]; our own choice."""
    passes: PositiveFloat | None = None
    """Number of times per epoch that each user's pairs are visited; null: 1, or 0.2 for sequence models, where each
    user costs a whole state. The term is a mean, so its strength does not depend on it."""
    every: PositiveInt | None = None
    """Apply the term every n-th step, scaled by n; null: the smallest n that gives at least 32 users (BPR: 96) per
    application. A call of a network for few users costs nearly as much as one for many."""
    seed: int = Field(0, ge=0)
    """Seed of the choice of the gate's validation users."""

    @property
    def seen(self) -> tuple[Input, ...]:
        """The gate's inputs."""
        if self.inputs is not None:
            return self.inputs
        return ALL_INPUTS if self.gate == "held_out" else PAPER_INPUTS if self.gate in ("paper", "normalised") else ()
