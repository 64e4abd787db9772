"""The gate's weights, fitted to where the LLM was right: logistic regression on pairs of items."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS, HALVINGS = 30, 10
LEAST_GAIN = 1e-7
"""Of the loss: a step that gains less ends the search."""
EDGE = 1e-9
"""Chances stay this far from 0 and 1."""


@torch.no_grad()
def fitted_gate(
    taken: Tensor, other: Tensor, right: Tensor, weight: Tensor, shrinkage: float, start: Tensor
) -> tuple[Tensor, Tensor]:
    """(weights (f,), bias) that tell best where the LLM is right: the mean of both items' sigmoids against `right`.

    taken, other: (n, f) inputs of the two items of n pairs; right (n,) in [0, 1]; weight (n,) of each pair. The loss
    is the weighted cross-entropy plus shrinkage / users * |w|^2, users being the sum of the weights: the more users
    speak, the less it says. start: (f + 1,) where the search begins, weights then bias.

    Fisher scoring: a step solves the least squares around the present chances, halved until the loss falls. From the
    weights of the epoch before, a few steps are enough.
    """
    right, weight = right.double(), weight.double()
    ones = torch.ones(len(right), 1, dtype=torch.float64, device=right.device)
    sides = [torch.cat([part.double(), ones], 1) for part in (taken, other)]
    solution = start.detach().double().clone()
    pull = torch.full_like(solution, shrinkage)
    pull[-1] = 0  # the bias is free
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
