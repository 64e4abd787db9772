"""The gate: the weight in [0, 1] of the LLM's score of a (user, item).

alpha_ui = sigmoid(w . x_ui + b) (S-LLMR, arXiv 2512.21526), and a pair's alpha is the mean of its two items'. The kind
of a gate decides how w and b are determined, and how alpha becomes a weight:

| kind | w and b | a pair's weight |
|---|---|---|
| paper | trained by the guidance's own loss | the mean of both sigmoids |
| normalised | trained by the same loss | the same, scaled so that its mean over the step's pairs is `budget` |
| held_out | fitted, epoch by epoch, to where the LLM's order agrees with held-out preferences | max(0, 2 p - 1) |
| open | none | 1 |
| closed | none | 0: there is no term |

The paper's form can only close: its loss is a sum of alpha * hinge with hinge >= 0, so dL/dalpha >= 0 for every pair.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

ITERATIONS, HALVINGS = 30, 10
LEAST_GAIN = 1e-7
"""Decrease of the loss below which the fit has converged."""
EDGE = 1e-9
"""Probabilities are clamped to [EDGE, 1 - EDGE]."""

GateKind = Literal["held_out", "paper", "normalised", "open", "closed"]


class Gate(nn.Module):
    """sigmoid(w . x + b) for every scored pair. w and b start at 0: the initial gate value is 0.5.

    For `held_out` the sigmoid is the probability p that the LLM's order is right. At p = 1/2 the order is random and
    gets weight 0; above, the weight is 2 p - 1, the share of right pairs minus that of wrong ones.
    """

    inputs: Tensor
    trace: Tensor

    def __init__(self, kind: GateKind, inputs: Tensor, epochs: int, budget: float) -> None:
        super().__init__()
        self.kind, self.budget = kind, budget
        trained = kind in ("paper", "normalised")
        self.weight = nn.Parameter(torch.zeros(inputs.shape[1]), requires_grad=trained)
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=trained)
        # Not part of a checkpoint: recomputed from the scores and the train side.
        self.register_buffer("inputs", inputs, persistent=False)
        # Per epoch: mean weight of the pairs, number of truth pairs, their agreement, bias, weights; NaN: not reached.
        self.register_buffer("trace", torch.full((epochs, 4 + inputs.shape[1]), torch.nan))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # A training may be resumed with more epochs than it began with; its trace is then longer than the stored one.
        stored = state_dict.get(f"{prefix}trace")
        if stored is not None and len(stored) != len(self.trace):
            lines = min(len(stored), len(self.trace))
            state_dict[f"{prefix}trace"] = torch.full_like(self.trace, torch.nan)
            state_dict[f"{prefix}trace"][:lines] = stored[:lines]
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, rows: Tensor) -> Tensor:
        """(n,) sigmoids of these rows of the score table."""
        return self._alpha(self.inputs[rows])

    def every(self) -> Tensor:
        """(len(scores),) sigmoids of all rows of the score table."""
        return self._alpha(self.inputs)

    def _alpha(self, inputs: Tensor) -> Tensor:
        if self.kind == "open":
            return self.bias.new_ones(len(inputs))
        if self.kind == "closed":
            return self.bias.new_zeros(len(inputs))
        return torch.sigmoid(inputs @ self.weight + self.bias)

    def heard(self, alpha: Tensor) -> Tensor:
        """(n,) weights of losses, from the mean sigmoids of the n pairs (or lists, or items) of a step."""
        if self.kind == "held_out":
            return (2 * alpha - 1).clamp_min(0)
        if self.kind == "normalised":
            return self.budget * alpha / alpha.mean().clamp_min(torch.finfo(alpha.dtype).tiny)
        return alpha


@torch.no_grad()
def fitted_gate(
    taken: Tensor, other: Tensor, right: Tensor, weight: Tensor, shrinkage: float, start: Tensor
) -> tuple[Tensor, Tensor]:
    """(weights (f,), bias) that best predict where the LLM is right: the mean of both items' sigmoids against `right`.

    taken, other: (n, f) inputs of the two items of n pairs; right (n,) in [0, 1]; weight (n,) of each pair. The loss
    is the weighted cross-entropy plus shrinkage / users * |w|^2, where users is the sum of the weights, so that
    shrinkage matters less with more users. start: (f + 1,) initial weights, then bias.

    Fisher scoring: each step solves weighted least squares at the current probabilities and is halved until the loss
    falls. From the weights of the previous epoch a few steps suffice.
    """
    right, weight = right.double(), weight.double()
    ones = torch.ones(len(right), 1, dtype=torch.float64, device=right.device)
    sides = [torch.cat([part.double(), ones], 1) for part in (taken, other)]
    solution = start.detach().double().clone()
    pull = torch.full_like(solution, shrinkage)
    pull[-1] = 0  # no shrinkage of the bias
    users = weight.sum()

    def chances(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one, two = (torch.sigmoid(side @ at) for side in sides)
        return one, two, ((one + two) / 2).clamp(EDGE, 1 - EDGE)

    def loss(p: Tensor, at: Tensor) -> float:
        wrong = -(right * p.log() + (1 - right) * (1 - p).log())
        return float(((wrong * weight).sum() + (pull * at.square()).sum()) / users)

    one, two, p = chances(solution)
    value = loss(p, solution)
    for _ in range(ITERATIONS):
        slope = (sides[0] * (one * (1 - one))[:, None] + sides[1] * (two * (1 - two))[:, None]) / 2
        steep = weight / (p * (1 - p))
        curve = slope.T @ (slope * steep[:, None]) + torch.diag(2 * pull + 1e-9)
        step = torch.linalg.solve(curve, slope.T @ (steep * (right - p)) - 2 * pull * solution)
        before = value
        for _ in range(HALVINGS):
            tried = chances(solution + step)
            value = loss(tried[2], solution + step)
            if value < before:
                solution, (one, two, p) = solution + step, tried
                break
            step = step / 2
        if before - value < LEAST_GAIN:
            break
    return solution[:-1].float(), solution[-1].float()
