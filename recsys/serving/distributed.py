"""Distributed training: one network in the processes that torchrun starts, then its evaluation.

    python -m torch.distributed.run --nproc-per-node 2 -m recloop.recsys.serving.distributed training.yaml --folder out

`training.yaml` names data and model, as a study file does:

    data:  {source: movielens, path: ml-100k, split: leave_last_out}
    model: {sasrec: {epochs: 30, batch_size: 128}}

Without torchrun (`python -m recloop.recsys.serving.distributed training.yaml --folder out`) it trains in one process.
The batch size is that of all processes together: their number changes the duration of a training but, except for
dropout, not its result. Rank 0 writes the checkpoints, the model (`recsys.models.load`) and `figures.json` to the
folder; an interrupted training resumes from its last epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, field_validator

from ...errors import ConfigError, RecloopError
from ...settings import load_yaml
from ..data.data_config import DataConfig
from ..data.sources import load_split
from ..evaluation.ranking import evaluate
from ..models.capabilities import log_of
from ..models.recommender import FitContext
from ..models.table import model, save
from ..training.processes import Processes, started_by_torchrun


class TrainingFile(BaseModel):
    """The training file: data, model and device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: DataConfig = DataConfig()
    """The data, its filters and its split, as in a study file."""
    model: dict[str, dict[str, Any]] = {"sasrec": {}}
    """One model's name, or its name with hyperparameters."""
    seed: NonNegativeInt = 0
    device: str = "cpu"
    """cpu (backend gloo) or cuda (nccl; the n-th process of a machine uses its n-th device)."""
    threads: PositiveInt | None = None
    """CPU threads of each process; None: torch's default."""
    track: tuple[str, ...] = ()
    """Trackers: tensorboard, mlflow."""
    metrics: tuple[str, ...] = Field(("ndcg@10", "recall@10"), min_length=1)
    """Metrics of the test side, computed after the training."""

    @field_validator("model", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        named = {value: {}} if isinstance(value, str) else value
        if not isinstance(named, Mapping) or len(named) != 1:
            raise ValueError("name one model, as `sasrec` or {sasrec: {epochs: 30}}")
        return {name: settings or {} for name, settings in named.items()}


def read(path: Path) -> TrainingFile:
    """The parsed file. Raises ConfigError, naming the wrong key."""
    try:
        return TrainingFile(**(load_yaml(path.read_text(encoding="utf-8")) or {}))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a training file") from error
    except (yaml.YAMLError, TypeError) as error:
        raise ConfigError(f"{path}: no YAML of keys and values ({error})") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {wrong}") from error


def train(file: TrainingFile, folder: Path, processes: Processes, device: str) -> dict[str, Any]:
    """Fits the model; rank 0 also evaluates and saves it. Returns the figures, which are empty in other ranks."""
    ((name, settings),) = file.model.items()
    learner = model(name, **settings)
    if not learner.config.in_epochs:
        raise ConfigError(f"model: {name} trains no network; fit it in one process, with `recloop run` or in Python")
    split = load_split(file.data)
    context = FitContext(file.seed, device, file.threads, folder, file.track, processes)
    learner.fit(split.train, split.valid, context)
    if not processes.first:
        return {}
    evaluation, log = evaluate(learner, split, metrics=file.metrics), log_of(learner)
    assert log is not None
    figures = {
        "model": name,
        "processes": processes.count,
        "epochs": len(log.epochs),
        "best_epoch": log.best_epoch,
        "epoch_seconds": round(sorted(e.seconds for e in log.epochs)[len(log.epochs) // 2], 3),
        **{metric: round(evaluation.mean(metric), 6) for metric in evaluation.metrics},
    }
    save(learner, folder)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path, help="what to train on what (YAML)")
    options.add_argument("--folder", type=Path, required=True, help="where checkpoints, model and figures go")
    chosen = options.parse_args()
    try:
        file = read(chosen.file)
        with started_by_torchrun(file.device) as (processes, device):
            figures = train(file, chosen.folder, processes, device)
    except RecloopError as error:
        sys.exit(f"error: {error}")
    if figures:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
