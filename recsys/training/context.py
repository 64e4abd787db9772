"""`FitContext`: seed, device, threads and folder of a fit, as opposed to hyperparameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import ConfigError
from .processes import Processes

MOST_THREADS = 1024
"""Largest number of CPU threads allowed: OpenMP ends the process without a message when it cannot start them."""
DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:\d+)?")


@dataclass(frozen=True, slots=True)
class FitContext:
    """Seed, device, threads and folders of one fit."""

    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    """CPU threads for torch; None leaves the process's setting unchanged."""
    folder: Path | None = None
    """Folder of checkpoints and training logs; None writes nothing."""
    track: tuple[str, ...] = ()
    """Trackers of the training: `tensorboard`, `mlflow`; both write to `folder`."""
    processes: Processes = Processes()
    """Process group of a distributed training, from `started_by_torchrun`; ignored by models without a network."""


def check_seed(seed: int) -> None:
    """Raises ConfigError for a seed outside 0 .. 2^63 - 1, the range of the generators."""
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed {seed} is {'negative' if seed < 0 else 'too large'}; write whole numbers from 0 up")


def check_threads(threads: int | None) -> None:
    """Raises ConfigError for a number of threads outside 1 .. MOST_THREADS."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ConfigError(f"threads: {threads}; write a number from 1 to {MOST_THREADS}, such as 1")


def check_device_name(device: str) -> None:
    """Raises ConfigError unless `device` is written as a torch device."""
    if not DEVICE.fullmatch(device):
        raise ConfigError(f"device: {device!r} is no device; write cpu, cuda, cuda:1, mps or xpu")


def check_device(device: str) -> None:
    """Raises ConfigError unless torch finds the device on this machine."""
    check_device_name(device)
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return
    backend = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}[kind]
    if not backend.is_available():
        raise ConfigError(
            f"device: {device} is not available: torch {torch.__version__} finds no {kind} device on this machine; "
            "write cpu, or install a torch built for it"
        )
    count = 1 if kind == "mps" else {"cuda": torch.cuda, "xpu": torch.xpu}[kind].device_count()
    if number and int(number) >= count:
        raise ConfigError(f"device: {device} is not there: this machine has {count} {kind} device(s), numbered from 0")


def check_context(context: FitContext) -> None:
    """Raises ConfigError for an invalid seed, device or number of threads."""
    check_seed(context.seed)
    check_threads(context.threads)
    check_device(context.device)
