"""Losses of the guidance term: on pairs of items, on single items, or on a user's list of LLM scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def hinge(difference: Tensor, margin: float) -> Tensor:
    """max(0, m - (s_ui - s_uj)), (n,) (S-LLMR, arXiv 2512.21526)."""
    return F.relu(margin - difference)


def logistic(difference: Tensor, margin: float) -> Tensor:
    """-log sigmoid(s_ui - s_uj - m), (n,): BPR form; its gradient never vanishes."""
    return -F.logsigmoid(difference - margin)


def pointwise(score: Tensor, target: Tensor) -> Tensor:
    """(sigmoid(s_ui) - LLM score)^2, (n,): fits the LLM's values, not only their order."""
    return (torch.sigmoid(score) - target).square()


def distilled(score: Tensor, target: Tensor, group: Tensor, groups: int, temperature: float) -> Tensor:
    """(groups,) KL divergences from softmax(LLM score / T) to softmax(s_u) over each user's scored items.

    Soft labels after Hinton, Vinyals & Dean 2015. score, target (the LLM's), group: (n,). T sharpens the LLM's scores,
    which lie in [0, 1] and would give nearly uniform labels; the recommender's scores are logits already.
    """
    teacher = _log_softmax(target / temperature, group, groups)
    each = teacher.exp() * (teacher - _log_softmax(score, group, groups))
    return score.new_zeros(groups).index_add(0, group, each)


def _log_softmax(logits: Tensor, group: Tensor, groups: int) -> Tensor:
    """Log-softmax of logits (n,) within each group."""
    highest = logits.new_full((groups,), -torch.inf).scatter_reduce(0, group, logits.detach(), "amax")
    shifted = logits - highest[group]
    total = logits.new_zeros(groups).index_add(0, group, shifted.exp())
    return shifted - total.log()[group]
