"""Adam for embedding tables with sparse gradients: rows without a gradient, and their moments, stay unchanged.

Kingma & Ba 2015, "Adam", algorithm 1, on the rows with a gradient. torch's SparseAdam does the same by adding sparse
tensors, which is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8
"""beta_1, beta_2 and epsilon of the paper, and of torch's Adam."""


class LazyAdam(torch.optim.Optimizer):
    """Every gradient must be sparse. Bias correction uses the number of steps, not a row's number of updates."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "the training loop calls backward itself"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"])

    def _move(self, table: Tensor, rate: float) -> None:
        state = self.state[table]
        if not state:
            state |= {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(table),
                "exp_avg_sq": torch.zeros_like(table),
            }
        state["step"] += 1
        steps = int(state["step"])
        assert table.grad is not None
        sparse = table.grad.coalesce()
        rows, gradient = sparse.indices()[0], sparse.values()
        first = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - FIRST)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        spread = second.div_(1 - SECOND**steps).sqrt_().add_(EPSILON)
        table.index_add_(0, rows, first.div_(spread), alpha=-rate / (1 - FIRST**steps))
