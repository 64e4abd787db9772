"""The processes that train one network together: each takes a part of every batch, and all add up their gradients.

Gradients are added up here and not by DistributedDataParallel, which sees what passes through a network's `forward`
alone: our losses also read item vectors and the states at the end of histories, and a part of a batch counts by its
weight and not by its rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...errors import RecloopError

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process is number `rank` of `count`; alone, nothing is exchanged. Every method is called by all of them."""

    rank: int = 0
    count: int = 1

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its sum over the processes, all in one exchange. Types and shapes must agree."""
        tensors = list(tensors)
        if self.alone or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def add_up_gradients(self, network: nn.Module) -> None:
        """A parameter that had no part in this process's loss has gradient 0 here."""
        if self.alone:
            return
        weights = [p for p in network.parameters() if p.requires_grad]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self.add_up(weight.grad for weight in weights if weight.grad is not None)

    def agree(self, network: nn.Module) -> None:
        """Gives every process the weights and buffers of the first."""
        if not self.alone:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)

    def from_first(self, make: Callable[[], Made]) -> Made:
        """What `make` gives in the first process, for all; its RecloopError is raised in all."""
        if self.alone:
            return make()
        shared: list[Any] = [None, None]
        if self.first:
            try:
                shared[0] = make()
            except RecloopError as error:
                shared[1] = error
        dist.broadcast_object_list(shared, 0)
        if shared[1] is not None:
            raise shared[1]
        made: Made = shared[0]
        return made


@contextmanager
def started_by_torchrun(device: str = "cpu") -> Iterator[tuple[Processes, str]]:
    """The processes that torchrun has started, connected, and this one's device; alone where it has started none.

    gloo connects CPUs, nccl CUDA devices, of which a machine's n-th process takes the n-th.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(), device
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # The first step of an optimizer imports this. Imported while processes are connected, it keeps the group, whose
    # threads then outlive destroy_process_group, and now and then abort the process at its end (torch 2.13).
    import_module("torch._dynamo")
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()
