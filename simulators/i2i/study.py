"""`study_i2i`: agents generate and judge rows, item-to-item models are trained on them and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...agents.fusion import is_generated
from ...atomic import make_folder
from ...errors import RunError
from ...notebook import html_of_facts
from ...recsys.controls import popularity_edit, random_edit
from ...recsys.data import Dataset, Split
from ...recsys.data.groups import head
from ...recsys.data.sources import load_split
from ...recsys.evaluation import compare
from ..batch.event_loop import run_async
from ..batch.lock import locked
from ..batch.progress import Silent, Watcher
from ..studies.grid import TrainingProtocol, cells_of, train_all
from ..studies.report import defined
from ..studies.variants import RAW, Variant
from .additions import neighbours_instead, part, surest, thinned
from .config import ItemStudy, read_item_study
from .realpair import real_pairs
from .refinement import ItemRefinement, refine_items
from .stop import warnings

GENERATED, DISCRIMINATED, BOTH = "generated", "discriminated", "both_filters"
THINNED, RANDOM, POPULARITY, NEIGHBOURS = "generated_thinned", "random", "popularity", "cf_neighbours"
CONTROLS = (THINNED, RANDOM, POPULARITY, NEIGHBOURS)
VOLUME, CONFIDENCE = "volume", "confidence"


@dataclass(frozen=True)
class ItemStudyResult:
    """What an item study measured.

    name, folder, metric: of the study; `metric` is the first of `evaluate.metrics`.
    table: `compare` of all variants against raw and the controls. curve: a row a model x order (volume: a random part
    of the generated rows; confidence: the surest part) x share x group x metric, against raw. realpair: see
    `real_pairs`. warnings: groups that fall. sized: which variant the controls are as large as.
    """

    name: str
    folder: Path
    metric: str
    split: Split
    refined: ItemRefinement
    variants: Mapping[str, Variant]
    table: pd.DataFrame
    curve: pd.DataFrame
    realpair: pd.DataFrame
    warnings: Sequence[str]
    sized: str
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined figures are null."""
        tables = {"table": self.table, "curve": self.curve, "realpair": self.realpair}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "metric": self.metric,
            "facts": dict(self.facts),
            "steps": {step: summary.as_json() for step, summary in self.refined.summaries.items()},
            "reports": {step: defined(report) for step, report in self.refined.reports.items()},
            "warnings": list(self.warnings),
            **{name: defined(table.to_dict("records")) for name, table in tables.items()},
        }

    def _repr_html_(self) -> str:
        table = self.table[(self.table["metric"] == self.metric) & (self.table["against"] != "")]
        return html_of_facts(self.facts, self.name) + str(table.to_html(index=False, na_rep=""))


TrainedValues = Callable[[Sequence[Variant], Sequence[str], Sequence[int]], pd.DataFrame]
"""(variants, labels of models, seeds) -> tidy per-user values of every cell."""


def study_i2i(
    study: ItemStudy | Path | str | Mapping[str, Any],
    settings: Sequence[str] = (),
    *,
    progress: Watcher | None = None,
    jobs: int = 1,
) -> ItemStudyResult:
    """Train item-to-item models on generated rows and on controls of the same size, and compare them.

    Everything is written below the study's folder; a second call repeats nothing that is finished.

    study: an ItemStudy, or a YAML file's path or a mapping, on which `settings` are made first (`read_item_study`).
    Agents read the train side only. Models are trained on the added or reweighted rows and score the users' real
    history: an index is built from the refined log, a request comes from a real visit. `jobs` trainings run at a time.
    Raises RunError where a spent budget or a refused key ends it; the same call resumes.
    """
    config = study if isinstance(study, ItemStudy) else read_item_study(study, settings)
    if config is study and settings:
        raise RunError("settings change a study file's values; give the path, or make a changed ItemStudy")
    own, watch = config.study, progress if progress is not None else Silent()
    own.train.check()
    split = load_split(own.data)
    make_folder(own.folder)
    with locked(own.folder / "study.lock"):
        return _answer(config, split, watch, jobs)


def _answer(config: ItemStudy, split: Split, watch: Watcher, jobs: int) -> ItemStudyResult:
    own = config.study
    refined = run_async(refine_items(own, split.train, watch))
    variants, sized = variants_of(split.train, refined, head(split.train, own.evaluate.head), own.seed)
    train = partial(_trained_values, config, split, watch.say, jobs)
    values = train(list(variants.values()), list(config.models), own.train.seeds)
    table = compare(
        values,
        baseline=RAW,
        controls=[c for c in CONTROLS if c in variants],
        seed=own.seed,
        draws=own.evaluate.draws,
    )
    curve = curves(config, train, refined, variants[RAW])
    metric = own.evaluate.metrics[0]
    pairs = real_pairs(
        split,
        {
            name: [v.train(s) for s in _training_seeds(v, own.train.seeds)]
            for name, v in variants.items()
            if name != RAW
        },
        RANDOM,
        np.random.default_rng([own.seed, 2]),
        own.evaluate.draws,
    )
    facts = {
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train interactions": len(split.train),
        "rows generated": len(refined.rows),
        "rows kept by the discriminator": int(refined.rows["kept"].sum()),
        "real rows held for noise": int((refined.both.weight < 1).sum()),
        "users evaluated": int(values["user"].nunique()),
        "the controls are as large as": sized,
    }
    lines = warnings(table, metric)
    for line in lines:
        watch.say(line)
    return ItemStudyResult(
        own.name, own.folder, metric, split, refined, variants, table, curve, pairs, lines, sized, facts
    )


def evaluated_users(config: ItemStudy, split: Split) -> npt.NDArray[np.int32] | None:
    """The users who are evaluated: those with something held out, or so many of them, sampled by the seed."""
    if config.users is None:
        return None
    able = np.flatnonzero(split.test.user_counts)
    if len(able) <= config.users:
        return able.astype(np.int32)
    rng = np.random.default_rng([config.study.seed, 1])
    return np.sort(rng.choice(able, config.users, replace=False)).astype(np.int32)


def _trained_values(
    config: ItemStudy,
    split: Split,
    say: Callable[[str], None],
    jobs: int,
    variants: Sequence[Variant],
    labels: Sequence[str],
    seeds: Sequence[int],
) -> pd.DataFrame:
    protocol = replace(TrainingProtocol.of(config.study, split), history="real", users=evaluated_users(config, split))
    models = []
    for label in labels:
        [(name, given)] = config.models[label].items()
        models.append((label, name, config.study.train.hyperparameters(name, given)))
    return train_all(
        list(cells_of(models, variants, seeds)), protocol, config.study.folder / "values", say, jobs=jobs
    ).values


def variants_of(
    raw: Dataset, refined: ItemRefinement, head_items: np.ndarray, seed: int
) -> tuple[dict[str, Variant], str]:
    """Raw, what the agents made, and additions of the same size by other means; and which variant that size is of.

    The controls are as large as `discriminated`, or as `generated` where the discriminator kept nothing. They differ
    from it in the items alone: the same users get as many rows, `random` any unseen items, `popularity` unseen items of
    the same popularity, `cf_neighbours` as many head and tail items by ItemKNN, and `generated_thinned` is a random
    part of what was generated.
    """
    sized = DISCRIMINATED if refined.rows["kept"].any() else GENERATED
    like = refined.discriminated if sized == DISCRIMINATED else refined.generated
    size = int(is_generated(like).sum())
    variants = [
        _fixed(RAW, raw),
        _fixed(GENERATED, refined.generated),
        _fixed(DISCRIMINATED, refined.discriminated),
        _fixed(BOTH, refined.both),
    ]
    if size:
        if sized == DISCRIMINATED and size < len(refined.rows):
            variants.append(
                _sampled(THINNED, lambda rng: part(refined.generated, thinned(len(refined.rows), size, rng)), seed, 0)
            )
        variants.append(_sampled(RANDOM, lambda rng: random_edit(raw, like, rng), seed, 1))
        variants.append(_sampled(POPULARITY, lambda rng: popularity_edit(raw, like, rng), seed, 2))
        variants.append(_fixed(NEIGHBOURS, neighbours_instead(raw, like, head_items)))
    return {variant.name: variant for variant in variants}, sized


def curves(config: ItemStudy, train: TrainedValues, refined: ItemRefinement, raw: Variant) -> pd.DataFrame:
    """Means and paired differences to raw at every share of the generated rows, random and surest part."""
    study = config.study
    labels = list(config.models) if config.curves is None else list(config.curves)
    seeds = tuple(range(config.seeds_of_curves))
    sure, total = refined.rows["confidence"].to_numpy(np.float64), len(refined.rows)
    ordered = -np.sort(-np.nan_to_num(sure, nan=-np.inf))
    tables = []
    for order in (VOLUME, CONFIDENCE):
        for share in config.shares:
            size = round(share * total)
            if size == 0:
                variant = raw
            elif size == total:
                variant = _fixed(GENERATED, refined.generated)
            else:
                pick = partial(_part_of, refined, order, sure, size)
                variant = _sampled(f"{order}_{share:g}", pick, study.seed, 3, by_seed=order == VOLUME)
            values = train([raw] if variant is raw else [raw, variant], labels, seeds)
            rows = compare(values, baseline=RAW, seed=study.seed, draws=study.evaluate.draws)
            rows = rows[(rows["variant"] == variant.name) & (rows["against"] == ("" if variant is raw else RAW))]
            cut = ordered[size - 1] if order == CONFIDENCE and size > 0 else np.nan
            tables.append(rows.assign(order=order, share=share, rows=size, cut=cut))
    table = pd.concat(tables, ignore_index=True)
    nothing = table["against"] == ""
    table.loc[nothing, ["difference", "low", "high"]] = 0.0
    columns = ["order", "model", "share", "rows", "cut", "group", "metric", "mean", "n", "difference", "low", "high"]
    return table[columns]


def _part_of(refined: ItemRefinement, order: str, sure: np.ndarray, size: int, rng: np.random.Generator) -> Dataset:
    if order == VOLUME:
        return part(refined.generated, thinned(len(sure), size, rng))
    return part(refined.generated, surest(sure, size, rng))


def _fixed(name: str, data: Dataset) -> Variant:
    return Variant(name, lambda _: data)


def _sampled(
    name: str, make: Callable[[np.random.Generator], Dataset], seed: int, place: int, *, by_seed: bool = True
) -> Variant:
    """A variant sampled with rng [seed, training seed, place], or with [seed, 0, place] once for all seeds."""
    return Variant(
        name, lambda training: make(np.random.default_rng([seed, training if by_seed else 0, place])), by_seed=by_seed
    )


def _training_seeds(variant: Variant, seeds: Sequence[int]) -> Sequence[int]:
    return seeds if variant.by_seed else seeds[:1]
