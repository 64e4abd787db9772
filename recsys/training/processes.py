"""Data-parallel training in several processes: each takes a part of every batch, and gradients are summed.

Gradients are summed here and not by DistributedDataParallel, which only handles what passes through a network's
`forward`: losses here also read item vectors and last states, and a part of a batch counts by its weight, not by its
number of rows.
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
    """This process is `rank` of `count` processes. All of them must call each method; one alone exchanges nothing."""

    rank: int = 0
    count: int = 1

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes files."""
        return self.rank == 0

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its sum over the processes, in one all-reduce. Dtypes and shapes must agree."""
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
        """Sums gradients over the processes; a parameter without a gradient in this process contributes 0."""
        if self.alone:
            return
        weights = [p for p in network.parameters() if p.requires_grad]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self.add_up(weight.grad for weight in weights if weight.grad is not None)

    def agree(self, network: nn.Module) -> None:
        """Broadcasts parameters and buffers of rank 0 to all processes."""
        if not self.alone:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)

    def from_first(self, make: Callable[[], Made]) -> Made:
        """The result of `make`, called in rank 0 only, in all processes; a RecloopError of it is raised in all."""
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
    """The process group started by torchrun and this process's device; a single process without torchrun.

    The backend is gloo on CPUs and nccl on CUDA, where a machine's n-th process uses its n-th device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(), device
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # An optimizer's first step imports this. If it is imported while a process group exists, it holds a reference to
    # it: the group's threads outlive destroy_process_group and sometimes abort the process at exit (torch 2.13).
    import_module("torch._dynamo")
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()
