"""Selective guidance: one more term on the training loop, an LLM's pair order weighed by a gate (S-LLMR).

L = L_rec + weight * mean over a step's pairs of alpha_uij * form(s_ui - s_uj). The paper (arXiv 2512.21526) has the
hinge, lambda = .1 and a gate trained by this very loss; what is ours is said at each setting.
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
    """Which of an LLM's scores enter the loss, in which form and with which weight."""

    gate: GateKind = "held_out"
    """How a pair is weighed; `docs/selective.md` has the five kinds."""
    form: Literal["hinge", "logistic", "pointwise", "distilled"] = "hinge"
    """hinge, logistic: of two items; pointwise: squared error against the score; distilled: the LLM's scores of a user
    as one soft label."""
    weight: NonNegativeFloat = 0.1
    """Lambda: what the mean over the pairs of a step counts beside the mean over its interactions (the paper: .1)."""
    margin: float = 1.0
    """Of hinge and logistic, in units of the recommender's scores; our own choice."""
    pairs: PositiveInt | None = 10
    """Most pairs of a user, widest gap first; null: every pair, which is global distillation."""
    least_gap: float = Field(0.1, ge=0, le=1)
    """Least difference of two scores that makes a pair; our own choice."""
    per_item: PositiveInt | None = None
    """In how many pairs of its user an item may stand; null: in any number, as in the paper."""
    inputs: tuple[Input, ...] | None = None
    """Inputs of the gate; null: of `paper` and `normalised` cold, tail, uncertainty, of `held_out` all six."""
    uncertainty: Uncertainty = "probability"
    """q of the recommender, taken anew at the beginning of every epoch: 1 - max p, entropy, variance under dropout."""
    cold: ColdConfig = ColdConfig()
    """Users for whom the input `cold` is 1."""
    head: HeadConfig = HeadConfig()
    """Items for which the input `tail` is 0."""
    budget: float = Field(0.5, gt=0, le=1)
    """normalised: the mean weight of the pairs of a step."""
    gate_users: float = Field(0.5, gt=0, lt=1)
    """held_out: share of the validation users that the gate is fitted to; they do not choose the epoch."""
    shrinkage: NonNegativeFloat = 1.0
    """held_out: pull of the gate's weights towards 0, as of that many users; our own choice."""
    threshold: float | None = None
    """held_out: least rating of a held-out row that counts as taken; null: every row does."""
    temperature: PositiveFloat = 0.1
    """distilled: sharpens the LLM's scores, which lie in [0, 1]; our own choice."""
    passes: PositiveFloat | None = None
    """How often an epoch meets each user's pairs; null: once, of sequence models, where each user costs a whole state,
    once in five epochs. The term is a mean, so it is as strong either way."""
    every: PositiveInt | None = None
    """Apply the term every n-th step, scaled by n; null: every step that has 32 users or more for it (BPR: 96), else
    the smallest n that gives so many. A call of a network for few users costs nearly as much as one for many."""
    seed: int = Field(0, ge=0)
    """Of the users set apart for the gate."""

    @property
    def seen(self) -> tuple[Input, ...]:
        """The gate's inputs."""
        if self.inputs is not None:
            return self.inputs
        return ALL_INPUTS if self.gate == "held_out" else PAPER_INPUTS if self.gate in ("paper", "normalised") else ()
