"""Losses of networks: functions of scores, with a weight per row."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOGITS_CPU, LOGITS_GPU = 2**18, 2**26
"""Logits held at once by `catalogue_softmax`: 1 MB, about a core's L2 cache, and 256 MB."""


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """sum(w * l) / sum(w) over losses (n,), so that rows of weight 0 are ignored. weight=None is 1 each.

    The loss of a batch in which every weight is 0 is 0.
    """
    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp_min(torch.finfo(losses.dtype).tiny)


def bpr(positive: Tensor, negative: Tensor, weight: Tensor | None = None) -> Tensor:
    """-log sigmoid(x_ui - x_uj), BPR-Opt (Rendle et al. 2009, eq. 4). All (n,)."""
    return weighted_mean(-F.logsigmoid(positive - negative), weight)


def softmax(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy over the whole catalogue. logits (n, n_items), target (n,) item codes, weight (n,)."""
    return weighted_mean(F.cross_entropy(logits, target, reduction="none"), weight)


def catalogue_softmax(states: Tensor, items: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """`softmax(states @ items.T, target, weight)` with a fraction of the memory, and on a CPU also of the time.

    states (n, d), items (n_items, d), target (n,), weight (n,). The gradient is computed with the loss, a block of rows
    at a time, so that logits stay in the cache and no (n, n_items) array is allocated.
    """
    weight = torch.ones_like(states[:, 0]) if weight is None else weight
    loss: Tensor = _CatalogueSoftmax.apply(states, items, target, weight)  # type: ignore[no-untyped-call]
    return loss


class _CatalogueSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        device = states.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else items.dtype
        share = weight / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
        narrow_items, by_item = items.to(dtype), torch.zeros_like(items)
        by_state, loss = torch.empty_like(states), torch.zeros((), device=states.device)
        step = max(1, (LOGITS_CPU if device == "cpu" else LOGITS_GPU) // len(items))
        with torch.autocast(device, enabled=False):
            for start in range(0, len(states), step):
                rows = slice(start, start + step)
                part, right = share[rows, None], target[rows, None]
                narrow = states[rows].to(dtype)
                logits = (narrow @ narrow_items.T).to(items.dtype)
                logits -= logits.amax(1, keepdim=True)
                chosen = logits.gather(1, right)
                total = logits.exp_().sum(1, keepdim=True)
                loss += ((total.log() - chosen) * part).sum()
                logits *= part / total
                logits.scatter_add_(1, right, -part)
                logits = logits.to(dtype)
                by_state[rows] = logits @ narrow_items
                by_item += logits.T @ narrow
        ctx.save_for_backward(by_state, by_item)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        by_state, by_item = ctx.saved_tensors
        return by_state * gradients[0], by_item * gradients[0], None, None


def sampled_softmax(positive: Tensor, negative: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of the positive against its sampled negatives. positive (n,), negative (n, k), weight (n,)."""
    return weighted_mean(torch.logsumexp(torch.cat([positive[:, None], negative], 1), 1) - positive, weight)


def gbce(
    positive: Tensor, negative: Tensor, n_items: int, calibration: float = 0.75, weight: Tensor | None = None
) -> Tensor:
    """Generalised binary cross-entropy, gSASRec (Petrov & Macdonald 2023, eq. 11 and 14).

    positive (n,), negative (n, k) scores of items sampled uniformly from the other n_items - 1. The positive's sigmoid
    is raised to the power beta, which corrects the overconfidence caused by sampling: calibration 0 is plain binary
    cross-entropy, 1 gives the probabilities of training without sampling.
    """
    rate = negative.shape[1] / (n_items - 1)
    beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    losses = -(beta * F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)) / (negative.shape[1] + 1)
    return weighted_mean(losses, weight)
