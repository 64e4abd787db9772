"""The gate's weights, fitted to where the LLM was right: logistic regression on pairs of items."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 50


@torch.enable_grad()
def fitted_gate(
    taken: Tensor, other: Tensor, right: Tensor, weight: Tensor, shrinkage: float, start: Tensor
) -> tuple[Tensor, Tensor]:
    """(weights (f,), bias) that tell best where the LLM is right: the mean of both items' sigmoids against `right`.

    taken, other: (n, f) inputs of the two items of n pairs; right (n,) in [0, 1]; weight (n,) of each pair. The loss
    is the weighted cross-entropy plus shrinkage / users * |w|^2, users being the sum of the weights: the more users
    speak, the less it says. start: (f + 1,) where the search begins, weights then bias.
    """
    taken, other, right, weight = (part.detach().double() for part in (taken, other, right, weight))
    users = weight.sum()
    solution = start.detach().double().clone().requires_grad_()
    search = torch.optim.LBFGS([solution], max_iter=ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        w, b = solution[:-1], solution[-1]
        chance = (torch.sigmoid(taken @ w + b) + torch.sigmoid(other @ w + b)) / 2
        wrong = F.binary_cross_entropy(chance.clamp(1e-9, 1 - 1e-9), right, reduction="none")
        total = (wrong * weight).sum() / users + shrinkage / users * w.square().sum()
        total.backward()
        return total

    search.step(loss)
    found = solution.detach()
    return found[:-1].float(), found[-1].float()
