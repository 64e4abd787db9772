"""Additions x models x seeds: each trained on what was added, and asked with the users' real history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...atomic import write_text
from ...identity import digest
from ...recsys.data import Dataset, Split
from ...recsys.evaluation import evaluate, group_masks, read_values, write_values
from ...recsys.models import FitContext, model
from ..studies.grid import cell_identity
from ..studies.variants import Variant
from .config import ItemStudy

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What every training of one study shares."""

    config: ItemStudy
    split: Split
    folder: Path
    say: Say

    def trained(self, variants: Sequence[Variant], labels: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
        """Tidy per-user values (model, variant, seed, user, group, metric, value) of every cell, from disk where it was
        trained before. A model without randomness on a variant without randomness is trained once."""
        parts = [
            read_values(self._cell(variant, label, seed))
            for label in labels
            for variant in variants
            for seed in self._seeds(variant, label, seeds)
        ]
        return pd.concat(parts, ignore_index=True)

    def _seeds(self, variant: Variant, label: str, seeds: Sequence[int]) -> Iterator[int]:
        [(name, settings)] = self._settings(label).items()
        yield from seeds if model(name, **settings).config.random or variant.by_seed else seeds[:1]

    def _settings(self, label: str) -> dict[str, dict[str, Any]]:
        """The labelled model with its hyperparameters, epochs limited as the study's `train` says."""
        [(name, given)] = self.config.models[label].items()
        return {name: self.config.study.train.hyperparameters(name, given)}

    def _cell(self, variant: Variant, label: str, seed: int) -> Path:
        train = variant.train(seed)
        settings = self._settings(label)
        study = self.config.study
        [(name, hyperparameters)] = settings.items()
        rests_on = [
            cell_identity(model(name, **hyperparameters), train, self.split, study), study.seed, self.config.users
        ]  # fmt: skip
        stem = self.folder / f"{variant.name}-{label}-s{seed}-{digest(rests_on)}"
        file, sidecar = stem.with_name(stem.name + ".parquet"), stem.with_name(stem.name + ".json")
        # The sidecar is written last: a cell without one was cut off and is trained again.
        if not sidecar.exists():
            told = self._train(train, variant.name, label, settings, seed, file)
            write_text(sidecar, json.dumps(told, indent=2, sort_keys=True) + "\n")
        return file

    def _train(
        self, train: Dataset, variant: str, label: str, settings: Mapping[str, Any], seed: int, file: Path
    ) -> dict[str, Any]:
        study, chosen = self.config.study, self.config.study.evaluate
        [(name, hyperparameters)] = settings.items()
        fresh = model(name, **hyperparameters)
        began = time.monotonic()
        fresh.fit(train, self.split.valid, FitContext(seed, study.train.device, study.train.threads))
        fitted = time.monotonic()
        items, users = group_masks(chosen.groups, self.split.train, head_items=chosen.head, cold_users=chosen.cold)
        judged = evaluate(
            fresh, self.split, metrics=chosen.metrics, users=self.judged, item_groups=items, user_groups=users
        )
        write_values(judged, file, model=label, variant=variant, seed=seed)
        metric = judged.metrics[0]
        self.say(
            f"trained {label} on {variant}, seed {seed}: {metric} {judged.mean(metric):.4f} "
            f"({fitted - began:.1f} s, judged in {time.monotonic() - fitted:.1f} s)"
        )
        return {
            "model": label,
            "variant": variant,
            "seed": seed,
            "rows": len(train),
            "fit_seconds": round(fitted - began, 3),
            "hyperparameters": fresh.config.model_dump(mode="json"),
            "beyond": dict(judged.beyond),
            "protocol": dict(judged.protocol),
        }

    @property
    def judged(self) -> np.ndarray | None:
        """The users who are judged: those with something held out, or so many of them, drawn by the seed."""
        if self.config.users is None:
            return None
        able = np.flatnonzero(self.split.test.user_counts)
        if len(able) <= self.config.users:
            return able.astype(np.int32)
        rng = np.random.default_rng([self.config.study.seed, 1])
        return np.sort(rng.choice(able, self.config.users, replace=False)).astype(np.int32)
