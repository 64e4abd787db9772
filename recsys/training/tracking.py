"""Trackers of a running training: metrics of each epoch go to TensorBoard or MLflow. Off by default."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError
from .progress import EpochLog


class Tracker(Protocol):
    """Receives the log of each epoch. `stem` is the phase of the training: `training` or `refit`."""

    def epoch(self, stem: str, epoch: EpochLog) -> None: ...

    def close(self) -> None: ...


@contextmanager
def trackers(
    names: Iterable[str], model: str, config: Mapping[str, Any], folder: Path | None
) -> Iterator[list[Tracker]]:
    """The named ones of `TRACKERS`, closed when the block ends, also by an error.

    ConfigError for an unknown name, a missing folder or a missing package.
    """
    with ExitStack() as open_ones:
        made: list[Tracker] = []
        for name in names:
            made.append(_tracker(name, model, config, folder))
            open_ones.callback(made[-1].close)
        yield made


def _tracker(name: str, model: str, config: Mapping[str, Any], folder: Path | None) -> Tracker:
    if name not in TRACKERS:
        raise ConfigError(f"track: no tracker {name!r}; there are {', '.join(TRACKERS)}")
    if folder is None:
        raise ConfigError(f"track: {name} needs a folder to write to; name one")
    try:
        return TRACKERS[name](model, config, folder)
    except ImportError as error:
        raise ConfigError(f"track: {name} is not installed ({error}); run `pip install 'recloop[{name}]'`") from error


def figures(epoch: EpochLog) -> dict[str, float]:
    """Metrics of an epoch by name; `validation` only if the epoch was evaluated."""
    values = {"loss": epoch.loss, "seconds": epoch.seconds}
    return values if math.isnan(epoch.validation) else values | {"validation": epoch.validation}


class TensorBoard:
    """Event files under `folder`/tensorboard, for `tensorboard --logdir`. A resumed training appends to them."""

    def __init__(self, model: str, config: Mapping[str, Any], folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.writer.add_text("model", model)
        self.writer.add_text("config", "\n".join(f"    {key}: {value}" for key, value in config.items()))

    def epoch(self, stem: str, epoch: EpochLog) -> None:
        for name, value in figures(epoch).items():
            self.writer.add_scalar(f"{stem}/{name}", value, epoch.epoch)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class MLflow:
    """A run on the server at MLFLOW_TRACKING_URI, or in `folder`/mlruns; a resumed training continues the run."""

    def __init__(self, model: str, config: Mapping[str, Any], folder: Path) -> None:
        # MLflow 3 requires this variable for its file store; the other local store needs a database.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlruns").resolve().as_uri()
        self.client, run_file = MlflowClient(uri), folder / "mlflow_run"
        if run_file.exists():
            self.run = run_file.read_text(encoding="utf-8")
            return
        experiment = self.client.get_experiment_by_name("recloop")
        ident = experiment.experiment_id if experiment else self.client.create_experiment("recloop")
        self.run = self.client.create_run(ident, run_name=model).info.run_id
        for key, value in {"model": model, **config}.items():
            self.client.log_param(self.run, key, value)
        run_file.write_text(self.run, encoding="utf-8")

    def epoch(self, stem: str, epoch: EpochLog) -> None:
        for name, value in figures(epoch).items():
            self.client.log_metric(self.run, f"{stem}.{name}", value, step=epoch.epoch)

    def close(self) -> None:
        self.client.set_terminated(self.run)


TRACKERS: dict[str, type[TensorBoard] | type[MLflow]] = {"tensorboard": TensorBoard, "mlflow": MLflow}
