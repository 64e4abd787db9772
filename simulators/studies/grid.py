"""Variants x models x seeds: every cell is trained and judged once, and its per-user values are kept on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...atomic import write_text
from ...identity import code_digest, digest, settings_of
from ...recsys.data import Dataset, Split, together
from ...recsys.evaluation import Evaluation, evaluate, group_masks, read_values, write_values
from ...recsys.models import FitContext, model
from ...recsys.models.capabilities import log_of
from ...recsys.models.table import Storable
from .study import Study, TrainConfig
from .variants import Variant

Say = Callable[[str], None]
COMPARISON = frozenset({"controls", "draws"})
"""Settings of `evaluate` that choose or compare trainings and change none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: which variant, which model, which seed, and the file stem of its results."""

    variant: Variant
    model: str
    hyperparameters: Mapping[str, Any]
    seed: int

    def fitted_on(self, train: Dataset, split: Split, study: Study) -> str:
        """What the result depends on, as the stem of its files; a change of any of it trains anew."""
        fresh = model(self.model, **self.hyperparameters)
        return (
            f"{self.variant.name}-{self.model.replace(':', '.')}-s{self.seed}-"
            f"{digest(cell_identity(fresh, train, split, study))}"
        )


def cell_identity(fresh: Storable, train: Dataset, split: Split, study: Study) -> dict[str, Any]:
    """What the values of one training depend on besides its seed: data, all hyperparameters, protocol and code."""
    return {
        "train": train.fingerprint,
        "sides": [split.train.fingerprint, split.valid.fingerprint, split.test.fingerprint],
        "model": fresh.name,
        "hyperparameters": settings_of(fresh.config),
        "device": study.train.device,
        "threads": study.train.threads,
        "evaluate": settings_of(study.evaluate, without=COMPARISON),
        "code": code_digest("recsys", type(fresh)),
    }


def train_all(study: Study, split: Split, variants: Sequence[Variant], folder: Path, say: Say) -> Grid:
    """Every cell's values, from disk where it was trained before."""
    cells = list(cells_of(study.train, variants))
    values, facts = [], []
    for done, cell in enumerate(cells, 1):
        train = cell.variant.train(cell.seed)
        stem = folder / cell.fitted_on(train, split, study)
        file, sidecar = stem.with_name(stem.name + ".parquet"), stem.with_name(stem.name + ".json")
        # The sidecar is written last: a cell without one was cut off and is trained again.
        if not sidecar.exists():
            evaluation, told = train_one(cell, train, split, study)
            write_values(evaluation, file, model=cell.model, variant=cell.variant.name, seed=cell.seed)
            write_text(sidecar, json.dumps(told, indent=2, sort_keys=True) + "\n")
            metric = evaluation.metrics[0]
            say(
                f"trained {done}/{len(cells)}: {cell.model} on {cell.variant.name}, seed {cell.seed}: "
                f"{metric} {evaluation.mean(metric):.4f} ({told['fit_seconds']:.1f} s)"
            )
        values.append(read_values(file))
        facts.append(json.loads(sidecar.read_text(encoding="utf-8")))
    return Grid(pd.concat(values, ignore_index=True), pd.DataFrame(facts))


@dataclass(frozen=True, slots=True)
class Grid:
    """values: tidy per-user values of all cells (model, variant, seed, user, group, metric, value).
    cells: one row a cell: model, variant, seed, coverage and the like, seconds, epochs, protocol."""

    values: pd.DataFrame
    cells: pd.DataFrame


def cells_of(config: TrainConfig, variants: Sequence[Variant]) -> Iterator[Cell]:
    """Model by model. A model without randomness on a variant without randomness is trained once."""
    for entry in config.models:
        [(name, hyperparameters)] = entry.items()
        settings = config.hyperparameters(name, hyperparameters)
        unfitted = model(name, **settings)
        for variant in variants:
            if not variant.only_for <= unfitted.accepts:
                continue
            for seed in config.seeds if unfitted.config.random or variant.by_seed else config.seeds[:1]:
                yield Cell(variant, name, settings, seed)


def train_one(cell: Cell, train: Dataset, split: Split, study: Study) -> tuple[Evaluation, dict[str, Any]]:
    """Fit on the variant, stop on the validation side, judge on the test side.

    The model scores from the variant's own history; what is masked and what is held out is the split's, so that every
    variant is ranked over the same candidates.
    """
    fresh = model(cell.model, **cell.hyperparameters)
    began = time.monotonic()
    fresh.fit(train, split.valid, FitContext(cell.seed, study.train.device, study.train.threads))
    fitted = time.monotonic()
    chosen = study.evaluate
    item_groups, user_groups = group_masks(chosen.groups, split.train, head_items=chosen.head, cold_users=chosen.cold)
    evaluation = evaluate(
        fresh,
        split,
        metrics=chosen.metrics,
        history=together(train, split.valid),
        item_groups=item_groups,
        user_groups=user_groups,
    )
    told = {
        "model": cell.model,
        "variant": cell.variant.name,
        "seed": cell.seed,
        "accepts": sorted(fresh.accepts),
        "hyperparameters": fresh.config.model_dump(mode="json"),
        "best_epoch": _best_epoch(fresh),
        "fit_seconds": round(fitted - began, 3),
        "evaluate_seconds": round(time.monotonic() - fitted, 3),
        "beyond": dict(evaluation.beyond),
        "protocol": dict(evaluation.protocol),
    }
    return evaluation, told


def _best_epoch(fitted: Storable) -> int | None:
    log = log_of(fitted)
    return log.best_epoch if log is not None else None
