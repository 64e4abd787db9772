"""Checkpoint of a tuning in one file: trained weights, AdamW's moments and the log of epochs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...recsys.training import checkpoints

_LAST, _BEST = "last", "best"


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses of one epoch, in nats per token of the answers: the mean over tokens or over samples according to
    `balance`, without other weights."""

    epoch: int
    loss: float
    valid_loss: float
    seconds: float


class Progress:
    """The epochs of a training and its best weights; in memory only if `folder` is None."""

    def __init__(
        self, weights: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, folder: Path | None, who: str
    ) -> None:
        self._weights = dict(weights)
        self._optimizer = optimizer
        self._folder = folder
        self._who = who
        self.epochs: list[Epoch] = []
        self._best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Resumes from the folder's checkpoint, if any. ConfigError if it is of another training."""
        if self._folder is None or not checkpoints.exists(self._folder, _LAST):
            return
        arrays, facts = checkpoints.read(self._folder, _LAST)
        if facts["training"] != self._who:
            raise ConfigError(
                f"{self._folder} holds a training with other data or settings; delete the folder or name another"
            )
        self.epochs = [Epoch(**entry) for entry in facts["epochs"]]
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(torch.from_numpy(arrays[f"weight.{name}"]))
                if f"m1.{name}" in arrays:
                    self._optimizer.state[weight] = {
                        "step": torch.tensor(float(facts["steps"])),
                        "exp_avg": torch.from_numpy(arrays[f"m1.{name}"]).to(weight.device),
                        "exp_avg_sq": torch.from_numpy(arrays[f"m2.{name}"]).to(weight.device),
                    }
        best, _ = checkpoints.read(self._folder, _BEST)
        self._best = {name: torch.from_numpy(array) for name, array in best.items()}

    def add(self, epoch: Epoch) -> None:
        """Stores the epoch and its weights, which are the best if its validation loss is the lowest so far."""
        better = epoch.valid_loss < self.best.valid_loss if self.epochs else True
        self.epochs.append(epoch)
        if better:
            self._best = {name: weight.detach().cpu().clone() for name, weight in self._weights.items()}
        if self._folder is None:
            return
        if better:
            arrays = {name: weight.numpy() for name, weight in self._best.items()}
            checkpoints.write(self._folder, _BEST, arrays, {"epoch": epoch.epoch})
        states = {name: self._optimizer.state[weight] for name, weight in self._weights.items()}
        steps = max((float(state["step"]) for state in states.values() if state), default=0.0)
        moments = {
            f"{short}.{name}": _array(state[key])
            for name, state in states.items()
            for short, key in (("m1", "exp_avg"), ("m2", "exp_avg_sq"))
            if state
        }
        whole = {f"weight.{name}": _array(weight) for name, weight in self._weights.items()} | moments
        facts = {"training": self._who, "steps": steps, "epochs": [asdict(epoch) for epoch in self.epochs]}
        checkpoints.write(self._folder, _LAST, whole, facts)

    @property
    def best(self) -> Epoch:
        return min(self.epochs, key=lambda epoch: (epoch.valid_loss, epoch.epoch))

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or the last `patience` of them brought no improvement."""
        if not self.epochs:
            return False
        return len(self.epochs) >= epochs or self.epochs[-1].epoch - self.best.epoch >= patience

    def restore_best(self) -> None:
        """Loads the best epoch's weights into the network."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self._best[name])

    def clear(self) -> None:
        """Deletes the checkpoint after the trained model is saved."""
        if self._folder is not None and self._folder.exists():
            gone = self._folder.with_name(f"{self._folder.name}.gone")
            os.replace(self._folder, gone)
            shutil.rmtree(gone)


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    return value.detach().cpu().numpy()
