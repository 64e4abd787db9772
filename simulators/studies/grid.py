"""Variants x models x seeds: every cell is trained and evaluated once, its per-user values are kept on disk.

    folder/<variant>-<label>-s<seed>-<digest>.parquet     tidy per-user values
    folder/<variant>-<label>-s<seed>-<digest>.json        facts of the training; written last

The digest is that of `cell_identity`: a cell whose data, hyperparameters, protocol or code has changed has other files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ...atomic import write_text
from ...errors import ConfigError, DataError, RunError
from ...identity import code_digest, digest, settings_of
from ...recsys.data import Dataset, Split, together
from ...recsys.evaluation import evaluate, group_masks, read_values, write_values
from ...recsys.models import FitContext, model
from ...recsys.models.capabilities import log_of
from ...recsys.models.table import Storable
from ..batch.progress import duration
from .study import EvaluateConfig, Study, TrainConfig
from .variants import Variant

Say = Callable[[str], None]
Models = Iterable[tuple[str, str, Mapping[str, Any]]]
"""(label, name, hyperparameters) of each model; labels differ, names need not."""

COMPARISON = frozenset({"controls", "draws", "seeds"})
"""Settings of `evaluate` that choose or compare trainings and change none."""
UNREADABLE = (OSError, ValueError, KeyError, DataError, pa.ArrowException)
"""What reading a cut or scrambled file of values raises (JSON and UTF-8 errors are ValueErrors)."""


@dataclass(frozen=True, slots=True)
class TrainingProtocol:
    """How every cell of one grid is trained and evaluated."""

    split: Split
    evaluate: EvaluateConfig
    device: str = "cpu"
    threads: int = 1
    history: Literal["variant", "real"] = "variant"
    """What a model scores from: the variant's own history, or the users' real one (an index made of the refined log is
    asked by a real visit). What is masked and what is held out is the split's in either case."""
    users: npt.NDArray[np.int32] | None = None
    """Codes of the users who are evaluated; None: all."""

    @classmethod
    def of(cls, study: Study, split: Split) -> TrainingProtocol:
        return cls(split, study.evaluate, study.train.device, study.train.threads)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: which variant, which model, which seed."""

    variant: Variant
    label: str
    model: str
    hyperparameters: Mapping[str, Any]
    seed: int


@dataclass(frozen=True, slots=True)
class Grid:
    """values: tidy per-user values of all cells (model, variant, seed, user, group, metric, value); `model` holds the
    labels. cells: one row a cell: model, variant, seed, coverage and the like, seconds, epochs, protocol, and the
    name of its `file` of values."""

    values: pd.DataFrame
    cells: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Training:
    """A cell as a worker process gets it: plain values, and the stem of the files that it writes."""

    variant: str
    label: str
    model: str
    hyperparameters: Mapping[str, Any]
    seed: int
    stem: Path

    @property
    def values(self) -> Path:
        return self.stem.with_name(self.stem.name + ".parquet")

    @property
    def facts(self) -> Path:
        return self.stem.with_name(self.stem.name + ".json")


def cells_of(models: Models, variants: Sequence[Variant], seeds: Sequence[int]) -> Iterator[Cell]:
    """Model by model. A model without randomness on a variant without randomness is trained once."""
    for label, name, hyperparameters in models:
        unfitted = model(name, **hyperparameters)
        for variant in variants:
            if not variant.only_for <= unfitted.accepts:
                continue
            for seed in seeds if unfitted.config.random or variant.by_seed else seeds[:1]:
                yield Cell(variant, label, name, dict(hyperparameters), seed)


def models_of(config: TrainConfig) -> Models:
    """The models of `train`, each labelled by its name, epochs limited as `train.epochs` says."""
    for entry in config.models:
        [(name, given)] = entry.items()
        yield name, name, config.hyperparameters(name, given)


def cell_identity(unfitted: Storable, train: str, protocol: TrainingProtocol) -> dict[str, Any]:
    """What the values of one training depend on besides its seed: data, all hyperparameters, protocol and code.

    train: the fingerprint of the variant's train side.
    """
    split, users = protocol.split, protocol.users
    return {
        "train": train,
        "sides": [split.train.fingerprint, split.valid.fingerprint, split.test.fingerprint],
        "model": unfitted.name,
        "hyperparameters": settings_of(unfitted.config),
        "device": protocol.device,
        "threads": protocol.threads,
        "evaluate": settings_of(protocol.evaluate, without=COMPARISON),
        "history": protocol.history,
        "users": None if users is None else digest(users.tolist()),
        "code": code_digest("recsys", type(unfitted)),
    }


def train_all(
    cells: Sequence[Cell], protocol: TrainingProtocol, folder: Path, say: Say = lambda _: None, *, jobs: int = 1
) -> Grid:
    """The values of every cell, from `folder` where it was trained before.

    `jobs` trainings run at a time, each in a process of its own; the values are the same for any number. `say` gets a
    line a training, with the time that those left are expected to take. Files that cannot be read are named and their
    cells trained again. Raises ConfigError for jobs < 1 and RunError where a process dies.
    """
    if jobs < 1:
        raise ConfigError(f"jobs is {jobs}; at least 1 training runs at a time")
    results: dict[int, tuple[pd.DataFrame, dict[str, Any]]] = {}
    trainings = _trainings(cells, protocol, folder)
    progress = _TrainingProgress([cell.label for cell in cells], jobs, say)
    missing: deque[int] = deque()
    for place, training in enumerate(trainings):
        stored = _stored(training, say)
        if stored is None:
            missing.append(place)
        else:
            results[place] = stored
            progress.stored(place)
    trained = _parallel if min(jobs, len(missing)) > 1 else _serial
    for place in trained(cells, trainings, missing, protocol, jobs):
        results[place] = _read(trainings[place])
        progress.trained(place, *results[place])
    ordered = [results[place] for place in range(len(cells))]
    return Grid(
        pd.concat([values for values, _ in ordered], ignore_index=True),
        pd.DataFrame([facts for _, facts in ordered]).assign(file=[training.values.name for training in trainings]),
    )


def _trainings(cells: Sequence[Cell], protocol: TrainingProtocol, folder: Path) -> list[_Training]:
    """Each cell with the stem of its files. A control is edited once a seed for this, not once a model."""
    fingerprints: dict[tuple[str, int], str] = {}
    trainings = []
    for cell in cells:
        side = (cell.variant.name, cell.seed if cell.variant.by_seed else 0)
        if side not in fingerprints:
            fingerprints[side] = cell.variant.train(cell.seed).fingerprint
        identity = cell_identity(model(cell.model, **cell.hyperparameters), fingerprints[side], protocol)
        stem = folder / f"{cell.variant.name}-{cell.label.replace(':', '.')}-s{cell.seed}-{digest(identity)}"
        trainings.append(_Training(cell.variant.name, cell.label, cell.model, cell.hyperparameters, cell.seed, stem))
    return trainings


def _stored(training: _Training, say: Say) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """Values and facts of a cell that was trained before. A cell without facts was cut off: they are written last."""
    if not training.facts.exists():
        return None
    try:
        return _read(training)
    except UNREADABLE as error:
        kind = type(error).__name__
        say(f"{training.values} or its .json is missing or damaged ({kind}); the cell is trained again")
        return None


def _read(training: _Training) -> tuple[pd.DataFrame, dict[str, Any]]:
    facts = json.loads(training.facts.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or "protocol" not in facts:
        raise DataError("not the facts of a training")
    return read_values(training.values), facts


def _serial(
    cells: Sequence[Cell], trainings: Sequence[_Training], missing: deque[int], protocol: TrainingProtocol, jobs: int
) -> Iterator[int]:
    for place in missing:
        train_one(trainings[place], cells[place].variant.train(cells[place].seed), protocol)
        yield place


def _parallel(
    cells: Sequence[Cell], trainings: Sequence[_Training], missing: deque[int], protocol: TrainingProtocol, jobs: int
) -> Iterator[int]:
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(jobs, len(missing)), multiprocessing.get_context("spawn"), _start_worker, (protocol, os.getpid())
    )
    running: dict[Future[None], int] = {}
    try:
        while missing or running:
            # One more than there are workers: none waits for its data, and few data sets are held at a time.
            while missing and len(running) <= jobs:
                place = missing.popleft()
                train = cells[place].variant.train(cells[place].seed)
                running[pool.submit(_train_in_worker, trainings[place], train)] = place
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                yield running.pop(future)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise RunError(
            "a training process died (often for lack of memory); run again with fewer --jobs: finished trainings are "
            "kept"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()


_protocol: TrainingProtocol | None = None
"""Of a worker process; sent once, for it holds the data."""


def _start_worker(protocol: TrainingProtocol, parent: int) -> None:
    global _protocol
    _protocol = protocol
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _train_in_worker(training: _Training, train: Dataset) -> None:
    assert _protocol is not None
    train_one(training, train, _protocol)


def train_one(training: _Training, train: Dataset, protocol: TrainingProtocol) -> None:
    """Fit on the variant's train side, stop on the validation side, evaluate on the test side; write values and facts.

    Every variant is ranked over the same candidates: masks and held-out items are the split's.
    """
    split, chosen = protocol.split, protocol.evaluate
    fitted = model(training.model, **training.hyperparameters)
    began = time.monotonic()
    fitted.fit(train, split.valid, FitContext(training.seed, protocol.device, protocol.threads))
    fit_seconds = time.monotonic() - began
    item_groups, user_groups = group_masks(chosen.groups, split.train, head_items=chosen.head, cold_users=chosen.cold)
    evaluation = evaluate(
        fitted,
        split,
        metrics=chosen.metrics,
        users=protocol.users,
        history=together(train, split.valid) if protocol.history == "variant" else None,
        item_groups=item_groups,
        user_groups=user_groups,
    )
    epochs = log_of(fitted)
    facts = {
        "model": training.label,
        "variant": training.variant,
        "seed": training.seed,
        "rows": len(train),
        "accepts": sorted(fitted.accepts),
        "hyperparameters": fitted.config.model_dump(mode="json"),
        "best_epoch": epochs.best_epoch if epochs is not None else None,
        "fit_seconds": round(fit_seconds, 3),
        "evaluate_seconds": round(time.monotonic() - began - fit_seconds, 3),
        "beyond": dict(evaluation.beyond),
        "protocol": dict(evaluation.protocol),
    }
    write_values(evaluation, training.values, model=training.label, variant=training.variant, seed=training.seed)
    write_text(training.facts, json.dumps(facts, indent=2, sort_keys=True) + "\n")


@dataclass
class _TrainingProgress:
    """A line a training, with the time left: a cell is expected to take what its model took before, or the mean."""

    labels: Sequence[str]
    jobs: int
    say: Say
    done: int = 0
    left: set[int] = field(default_factory=set)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = set(range(len(self.labels)))

    def stored(self, place: int) -> None:
        """A cell whose values were on disk."""
        self.done += 1
        self.left.discard(place)

    def trained(self, place: int, values: pd.DataFrame, facts: Mapping[str, Any]) -> None:
        self.stored(place)
        took = float(facts["fit_seconds"]) + float(facts["evaluate_seconds"])
        self.seconds.setdefault(self.labels[place], []).append(took)
        metric = values["metric"].iloc[0]
        mean = values.loc[(values["metric"] == metric) & (values["group"] == "all"), "value"].mean()
        line = (
            f"trained {self.done}/{len(self.labels)}: {facts['model']} on {facts['variant']}, seed {facts['seed']}: "
            f"{metric} {mean:.4f} ({duration(took)})"
        )
        self.say(line + (f", about {duration(self.expected())} left" if self.left else ""))

    def expected(self) -> float:
        """Seconds that the cells left will take."""
        means = {label: float(np.mean(took)) for label, took in self.seconds.items()}
        overall = float(np.mean([one for took in self.seconds.values() for one in took]))
        return sum(means.get(self.labels[place], overall) for place in self.left) / min(self.jobs, len(self.left))
