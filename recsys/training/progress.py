"""State of a training: its log, its best weights, and the checkpoint on disk from which it can resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ConfigError
from . import checkpoints
from .processes import Processes

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class EpochLog:
    """One line of the training log.

    seconds: training time without evaluation. validation: NDCG@10 of the validation side, or the learner's own metric;
    higher is better, NaN if the epoch was not evaluated.
    """

    epoch: int
    loss: float
    seconds: float
    validation: float


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """The log of a training. `best_epoch`, counted from 1, is the epoch whose weights the model has."""

    epochs: tuple[EpochLog, ...]
    best_epoch: int
    refitted: bool = False


class TrainingProgress:
    """The log so far, the best weights, and their checkpoint on disk."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        folder: Path | None,
        stem: str,
        identity: str,
        processes: Processes = Processes(),
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.folder, self.stem, self.identity, self.processes = folder, stem, identity, processes
        self.epochs: list[EpochLog] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.best_validation = float("-inf")

    def finished(self, epochs: int, patience: int) -> bool:
        since = [e for e in self.epochs[self.best_epoch :] if not np.isnan(e.validation)]
        return len(self.epochs) >= epochs or len(since) >= patience

    def add(self, epoch: EpochLog) -> None:
        self.epochs.append(epoch)
        if epoch.validation > self.best_validation:
            self.best_validation, self.best_epoch = epoch.validation, epoch.epoch
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        if self.folder is not None and self.processes.first:
            self._write()

    def restore_best(self) -> TrainingLog:
        """Loads the best weights into the network and returns the log."""
        if self.best:
            self.network.load_state_dict(self.best)
        return TrainingLog(tuple(self.epochs), self.best_epoch or len(self.epochs))

    def resume(self) -> None:
        stored = self.processes.from_first(self._stored)
        if stored is None:
            return
        arrays, facts = stored
        if facts["identity"] != self.identity:
            raise ConfigError(
                f"{self.folder}: holds a training with other data, settings or seed; "
                "name another folder or empty this one"
            )
        groups: dict[str, dict[str, Any]] = {"network": {}, "best": {}}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, array in arrays.items():
            group, _, rest = name.partition("/")
            if group == "optimizer":
                index, _, key = rest.partition("/")
                moments.setdefault(int(index), {})[key] = torch.from_numpy(array)
            else:
                groups[group][rest] = torch.from_numpy(array).to(next(self.network.parameters()).device)
        self.network.load_state_dict(groups["network"])
        self.best = groups["best"]
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.epochs = [
            EpochLog(**{**e, "validation": float("nan") if e["validation"] is None else e["validation"]})
            for e in facts["epochs"]
        ]
        self.best_epoch = facts["best_epoch"]
        self.best_validation = self.epochs[self.best_epoch - 1].validation if self.best_epoch else float("-inf")

    def _stored(self) -> tuple[checkpoints.Arrays, dict[str, Any]] | None:
        if self.folder is None or not checkpoints.exists(self.folder, self.stem):
            return None
        return checkpoints.read(self.folder, self.stem)

    def _write(self) -> None:
        assert self.folder is not None
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        lines = [asdict(e) for e in self.epochs]
        for line in lines:
            line["validation"] = None if np.isnan(line["validation"]) else line["validation"]
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        facts = {"identity": self.identity, "best_epoch": self.best_epoch, "epochs": lines}
        checkpoints.write(self.folder, self.stem, arrays, facts)
