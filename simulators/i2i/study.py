"""`study_i2i`: agents generate and judge, item-to-item models are trained on what comes of it, and all is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ...agents.fusion import is_generated
from ...recsys.controls import popularity_edit, random_edit
from ...recsys.data import Dataset, Split
from ...recsys.data.groups import head
from ...recsys.data.sources import load_split
from ...recsys.evaluation import compare
from ..batch.event_loop import run_async
from ..batch.progress import Silent, Watcher
from ..studies.variants import RAW, Variant
from .additions import neighbours_instead, part, surest, thinned
from .asked import Refined, refined
from .cells import Bench
from .config import ItemStudy
from .realpair import real_pairs
from .stop import warnings

GENERATED, DISCRIMINATED, BOTH = "generated", "discriminated", "both_filters"
THINNED, RANDOM, POPULARITY, NEIGHBOURS = "generated_thinned", "random", "popularity", "cf_neighbours"
CONTROLS = (THINNED, RANDOM, POPULARITY, NEIGHBOURS)
VOLUME, CONFIDENCE = "volume", "confidence"


@dataclass(frozen=True)
class ItemStudyResult:
    """What an item study found.

    table: `compare` of all variants against raw and the controls. curve: a row a model x order (volume: a random part
    of the generated rows; confidence: the surest part) x share x group x metric, against raw. realpair: see
    `real_pairs`. rows: the generated ones with their confidence. sized: which variant the controls are as large as.
    """

    split: Split
    refined: Refined
    variants: Mapping[str, Variant]
    table: pd.DataFrame
    curve: pd.DataFrame
    realpair: pd.DataFrame
    warnings: Sequence[str]
    sized: str
    facts: Mapping[str, Any]


def study_i2i(config: ItemStudy, progress: Watcher | None = None) -> ItemStudyResult:
    """Answers an item study; everything lands in `config.study.folder`, and a second call repeats nothing finished.

    Agents see the train side alone. Models are trained on what was added or weighed, and asked with the users' real
    history: an index is made of the refined log, a request is made by a real visit.
    """
    study, watch = config.study, progress if progress is not None else Silent()
    study.train.check()
    split = load_split(study.data)
    study.folder.mkdir(parents=True, exist_ok=True)
    made = run_async(refined(study, split.train, watch))
    variants, sized = variants_of(split.train, made, head(split.train, study.evaluate.head), study.seed)
    bench = Bench(config, split, study.folder / "values", watch.say)
    values = bench.trained(list(variants.values()), list(config.models), study.train.seeds)
    table = compare(
        values,
        baseline=RAW,
        controls=[c for c in CONTROLS if c in variants],
        seed=study.seed,
        draws=study.evaluate.draws,
    )
    curve = curves(bench, made, variants[RAW])
    metric = study.evaluate.metrics[0]
    pairs = real_pairs(
        split,
        {name: [v.train(s) for s in _draws(v, study.train.seeds)] for name, v in variants.items() if name != RAW},
        RANDOM,
        np.random.default_rng([study.seed, 2]),
        study.evaluate.draws,
    )
    facts = {
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train interactions": len(split.train),
        "rows generated": len(made.rows),
        "rows kept by the discriminator": int(made.rows["kept"].sum()),
        "real rows held for noise": int((made.both.weight < 1).sum()),
        "users judged": int(values["user"].nunique()),
        "the controls are as large as": sized,
    }
    told = warnings(table, metric)
    for line in told:
        watch.say(line)
    return ItemStudyResult(split, made, variants, table, curve, pairs, told, sized, facts)


def variants_of(raw: Dataset, made: Refined, head_items: np.ndarray, seed: int) -> tuple[dict[str, Variant], str]:
    """Raw, what the agents made, and additions of the same size by other means; and which variant that size is of.

    The controls are as large as `discriminated`, or as `generated` where the discriminator kept nothing. They differ
    from it in the items alone: the same users get as many rows, `random` any unseen items, `popularity` unseen items of
    the same popularity, `cf_neighbours` as many head and tail items by ItemKNN, and `generated_thinned` is a random
    part of what was generated.
    """
    sized = DISCRIMINATED if made.rows["kept"].any() else GENERATED
    like = made.discriminated if sized == DISCRIMINATED else made.generated
    size = int(is_generated(like).sum())
    found = [
        _fixed(RAW, raw),
        _fixed(GENERATED, made.generated),
        _fixed(DISCRIMINATED, made.discriminated),
        _fixed(BOTH, made.both),
    ]
    if size:
        if sized == DISCRIMINATED and size < len(made.rows):
            found.append(_drawn(THINNED, lambda rng: part(made.generated, thinned(len(made.rows), size, rng)), seed, 0))
        found.append(_drawn(RANDOM, lambda rng: random_edit(raw, like, rng), seed, 1))
        found.append(_drawn(POPULARITY, lambda rng: popularity_edit(raw, like, rng), seed, 2))
        found.append(_fixed(NEIGHBOURS, neighbours_instead(raw, like, head_items)))
    return {variant.name: variant for variant in found}, sized


def curves(bench: Bench, made: Refined, raw: Variant) -> pd.DataFrame:
    """Means and paired differences to raw at every share of the generated rows, random and surest part."""
    config, study = bench.config, bench.config.study
    labels = list(config.models) if config.curves is None else list(config.curves)
    seeds = tuple(range(config.seeds_of_curves))
    sure, total = made.rows["confidence"].to_numpy(np.float64), len(made.rows)
    ordered = -np.sort(-np.nan_to_num(sure, nan=-np.inf))
    found = []
    for order in (VOLUME, CONFIDENCE):
        for share in config.shares:
            size = round(share * total)
            if size == 0:
                variant = raw
            elif size == total:
                variant = _fixed(GENERATED, made.generated)
            else:
                pick = partial(_part_of, made, order, sure, size)
                variant = _drawn(f"{order}_{share:g}", pick, study.seed, 3, by_seed=order == VOLUME)
            values = bench.trained([raw] if variant is raw else [raw, variant], labels, seeds)
            told = compare(values, baseline=RAW, seed=study.seed, draws=study.evaluate.draws)
            told = told[(told["variant"] == variant.name) & (told["against"] == ("" if variant is raw else RAW))]
            kept = ordered[size - 1] if order == CONFIDENCE and size > 0 else np.nan
            found.append(told.assign(order=order, share=share, rows=size, cut=kept))
    table = pd.concat(found, ignore_index=True)
    nothing = table["against"] == ""
    table.loc[nothing, ["difference", "low", "high"]] = 0.0
    columns = ["order", "model", "share", "rows", "cut", "group", "metric", "mean", "n", "difference", "low", "high"]
    return table[columns]


def _part_of(made: Refined, order: str, sure: np.ndarray, size: int, rng: np.random.Generator) -> Dataset:
    if order == VOLUME:
        return part(made.generated, thinned(len(sure), size, rng))
    return part(made.generated, surest(sure, size, rng))


def _fixed(name: str, data: Dataset) -> Variant:
    return Variant(name, lambda _: data)


def _drawn(
    name: str, make: Callable[[np.random.Generator], Dataset], seed: int, place: int, *, by_seed: bool = True
) -> Variant:
    """A variant that is drawn with rng [seed, training seed, place], or with [seed, 0, place] once for all seeds."""
    return Variant(
        name, lambda training: make(np.random.default_rng([seed, training if by_seed else 0, place])), by_seed=by_seed
    )


def _draws(variant: Variant, seeds: Sequence[int]) -> Sequence[int]:
    return seeds if variant.by_seed else seeds[:1]
