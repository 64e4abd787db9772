"""A training's state on disk: the trained weights, AdamW's moments and what each epoch measured, in one file."""

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
    """What one epoch measured; losses are nats a token of the answers, the mean over tokens or over samples as
    `balance` says, other weights left out of account."""

    epoch: int
    loss: float
    valid_loss: float
    seconds: float


class Progress:
    """The epochs of one training and its best weights. `folder` None keeps them in memory only."""

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
        """Goes on from what the folder holds. ConfigError where that is another training."""
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
        """Keeps the epoch's weights, and as the best ones where its loss on validation is the lowest so far."""
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
        """Whether all epochs are done, or `patience` of them in a row brought nothing."""
        if not self.epochs:
            return False
        return len(self.epochs) >= epochs or self.epochs[-1].epoch - self.best.epoch >= patience

    def restore_best(self) -> None:
        """Puts the best epoch's weights into the network."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self._best[name])

    def clear(self) -> None:
        """Deletes the state on disk: the training is over and saved."""
        if self._folder is not None and self._folder.exists():
            gone = self._folder.with_name(f"{self._folder.name}.gone")
            os.replace(self._folder, gone)
            shutil.rmtree(gone)


def _array(value: Tensor) -> np.ndarray[Any, Any]:
    return value.detach().cpu().numpy()
