"""SASRec and GRU4Rec trained on raw, denoised, control and oracle data, and asked from histories of the same kind.

Trained on the owners' sequences of train_5000; ranked are the last items of the test windows after the items before
them, over the whole catalogue. What a denoiser removes it removes in both. Nobody edits a target. Rates 0 and 10 % are
the publisher's files; the others are planted into the clean one by `recsys.denoising.planting`, as theirs are: an item
of an owner gives way to the same uniform one in all windows; last items of windows of the test file stay.

How many epochs are trained is chosen on the validation windows, on raw data at 10 %, and then holds for every cell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from denoise_detect import SEED, Toys, of, self_supervised, windows_at
from recloop.recsys.controls import popularity_edit, random_edit
from recloop.recsys.data import Dataset, Split
from recloop.recsys.denoising.features import content_and_company
from recloop.recsys.denoising.judged import best_threshold
from recloop.recsys.denoising.owners import Doubts, one_sequence_each, owners
from recloop.recsys.denoising.planting import planted
from recloop.recsys.denoising.robust import RobustGRU4Rec, RobustSASRec
from recloop.recsys.evaluation import compare, evaluate
from recloop.recsys.models import Circumstances
from recloop.recsys.models.gru4rec import GRU4Rec
from recloop.recsys.models.sasrec import SASRec

METRICS = ("ndcg@20", "hr@20")
SETTINGS: dict[str, Any] = {"embedding_size": 64, "max_length": 20, "loss": "sampled_softmax", "negatives": 256}
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "sasrec": (SASRec, RobustSASRec, {"learning_rate": 2e-3, "dropout": 0.4}),
    "gru4rec": (GRU4Rec, RobustGRU4Rec, {"dropout": 0.4}),
}
EDITS = ("raw", "denoised", "random_edit", "popularity_edit", "oracle", "T-CE", "R-CE")
LOOKS = (5, 10, 15, 20, 30)
"""Epochs after which the validation windows are ranked, where their number is chosen."""


class Rate:
    """The windows at one planted rate, and what each variant makes of them."""

    def __init__(self, rate: float, folder: Path, out: Path) -> None:
        self.rate, self.folder, self.out = rate, folder, out

    @cached_property
    def toys(self) -> Toys:
        if self.rate in (0.0, 0.1):
            return windows_at(self.folder / f"noise-{self.rate:g}" if self.rate else self.folder / "noise-0.0")
        clean = windows_at(self.folder / "noise-0.0")
        return of(*planted(clean.data, self.rate, SEED, keep=clean.test & is_last(clean.data)))

    @cached_property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """(n,) rows that the combination learnt from self-planted noise doubts, by owner and item."""
        data = self.toys.data
        path = self.out / f"flagged-{data.fingerprint}.npy"
        if not path.is_file():
            blind, cut = detector(self.folder)
            texts = data.items["title"].tolist()
            np.save(path, by_owner(data, blind(content_and_company(data, texts))) >= cut)
        return np.load(path)

    def edited(self, data: Dataset, rows: npt.NDArray[np.bool_], variant: str, seed: int) -> Dataset:
        """What the variant trains on, or scores from, of `data`, whose rows' doubts and truth are `rows` (n,)."""
        refined = data.rows(~rows)
        if variant in ("random_edit", "popularity_edit"):
            edit = random_edit if variant == "random_edit" else popularity_edit
            return edit(data, refined, np.random.default_rng([SEED, seed, EDITS.index(variant)]))
        return refined if variant in ("denoised", "oracle") else data


def by_owner(data: Dataset, doubt: Doubts) -> Doubts:
    """(n,) mean doubt over all windows of the owner that hold the item: an item is noise in all of them or in none."""
    pair = owners(data)[data.user] * data.n_items + data.item
    return pd.Series(doubt).groupby(pair).transform("mean").to_numpy()


@cache
def detector(folder: Path) -> tuple[Any, float]:
    """The combination learnt from noise planted by ourselves at 10 %, and the threshold that is best on validation."""
    toys = windows_at(folder / "noise-0.1")
    blind, columns = self_supervised(toys.data)
    doubt = by_owner(toys.data, blind(columns))
    return blind, best_threshold(doubt[toys.valid], toys.truth.planted[toys.valid])


def is_last(data: Dataset) -> npt.NDArray[np.bool_]:
    """(n,) true for the last row of each user."""
    last = np.zeros(len(data), bool)
    last[data.indptr[1:][data.user_counts > 0] - 1] = True
    return last


def sequences(data: Dataset, rows: npt.NDArray[np.bool_], noise: npt.NDArray[np.bool_]) -> tuple[Dataset, npt.NDArray]:
    """A user an owner, of `rows` (n,); and which of the sequences' rows `noise` (n,) is true for."""
    merged = one_sequence_each(data, rows)
    pair = owners(data)[data.user] * data.n_items + data.item
    bad = np.unique(pair[rows & noise])
    ids = merged.users["user_id"].to_numpy(np.int64)
    return merged, np.isin(ids[merged.user] * data.n_items + merged.item, bad)


def asked(data: Dataset, side: npt.NDArray[np.bool_]) -> tuple[Dataset, Dataset, npt.NDArray[np.bool_]]:
    """Histories and targets of a side's windows, and the rows of `data` that are histories."""
    last = is_last(data)
    past = side & ~last
    return data.rows(past), data.rows(side & last), past


def made(name: str, variant: str, epochs: int) -> Any:
    plain, robust, own = MODELS[name]
    settings = SETTINGS | own | {"epochs": epochs}
    if variant in ("T-CE", "R-CE"):
        return robust(robust.Config(rule="truncate" if variant == "T-CE" else "reweight", **settings))
    return plain(plain.Config(**settings))


def cell(at: Rate, name: str, variant: str, seed: int, epochs: int) -> pd.DataFrame:
    """Per-window values of one trained model, ready for `compare`."""
    data = at.toys.data
    noise = at.toys.truth.planted if variant == "oracle" else at.flagged
    train, bad = sequences(data, at.toys.train, noise)
    known, targets, past = asked(data, at.toys.test)
    began = time.perf_counter()
    model = made(name, variant, epochs)
    model.fit(at.edited(train, bad, variant, seed), None, Circumstances(seed=seed, threads=1))
    split = Split(known, known.rows(np.zeros(len(known), bool)), targets)
    history = at.edited(known, noise[past], variant, seed)
    values = evaluate(model, split, metrics=METRICS, history=history, users=np.flatnonzero(targets.user_counts)).tidy()
    print(f"{at.rate:g} {name} {variant} {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return values[values["group"] == "all"].assign(model=name, variant=variant, seed=seed)


def kept(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table at `path`, made now where it is not there."""
    if not path.is_file():
        make().to_parquet(path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return pd.read_parquet(path)


def epochs_of(name: str, folder: Path, out: Path) -> int:
    """The look at which raw data at 10 % is best on the validation windows (seed 0); one training, looked at often."""
    path = out / f"epochs-{name}.json"
    if not path.is_file():
        at = Rate(0.1, folder, out)
        train, _ = sequences(at.toys.data, at.toys.train, at.toys.truth.planted)
        known, targets, _ = asked(at.toys.data, at.toys.valid)
        split = Split(known, known.rows(np.zeros(len(known), bool)), targets)
        users = np.flatnonzero(targets.user_counts)[::3]
        figures = {}
        for epochs in LOOKS:
            model = made(name, "raw", epochs)
            model.fit(train, None, Circumstances(seed=0, threads=1, folder=out / f"epochs-{name}"))
            figures[epochs] = evaluate(model, split, metrics=("ndcg@20",), users=users).mean("ndcg@20")
            print(f"{name}: {epochs} epochs, valid ndcg@20 {figures[epochs]:.4f}", file=sys.stderr, flush=True)
        path.write_text(json.dumps({"figures": figures, "epochs": max(figures, key=lambda one: figures[one])}), "utf-8")
    return int(json.loads(path.read_text("utf-8"))["epochs"])


def retrain_table(chosen: argparse.Namespace) -> str:
    """Means, paired differences to raw with intervals, and the share of the oracle's gain, from the cells there are."""
    folder = chosen.folder / "data" / "amazon-toys-noise"
    chosen.out.mkdir(parents=True, exist_ok=True)
    epochs = {name: epochs_of(name, folder, chosen.out) for name in chosen.models}
    lines = [f"epochs, by validation: {epochs}", ""]
    cells: dict[float, list[pd.DataFrame]] = {}
    rates = {rate: Rate(rate, folder, chosen.out) for rate in chosen.rates}
    for seed in range(chosen.seeds):
        for rate, at in rates.items():
            for name in chosen.models:
                for variant in EDITS:
                    if rate == 0 and variant == "oracle":
                        continue
                    path = chosen.out / f"cell-{rate:g}-{name}-{variant}-{seed}.parquet"
                    make = partial(cell, at, name, variant, seed, epochs[name])
                    cells.setdefault(rate, []).append(kept(path, make))
    for rate, found in cells.items():
        at = rates[rate]
        lines += [f"## Planted rate {rate:.0%}", "", removal(at), "", *_rows(pd.concat(found), chosen.draws)]
    return "\n".join(lines)


def removal(at: Rate) -> str:
    """What the denoiser removes from the training sequences, and how much of it was planted."""
    data, truth = at.toys.data, at.toys.truth.planted
    train, bad = sequences(data, at.toys.train, at.flagged)
    _, noise = sequences(data, at.toys.train, truth)
    hits = int((bad & noise).sum())
    return f"{int(bad.sum())} of {len(train)} training rows removed, {hits} of {int(noise.sum())} planted among them"


def _rows(values: pd.DataFrame, draws: int) -> list[str]:
    table = compare(values, controls=("random_edit", "popularity_edit"), seed=SEED, draws=draws)
    lines = ["| model | metric | variant | mean | less raw | share of the oracle's gain |", "|---|---|---|--:|---|--:|"]
    for (model, metric), part in table.groupby(["model", "metric"], sort=False):
        alone = part[part["against"] == ""].set_index("variant")["mean"]
        versus = part[part["against"] == "raw"].set_index("variant")
        for variant in [name for name in EDITS if name in alone.index]:
            told = (
                "" if variant == "raw" else "{difference:+.4f} [{low:+.4f}, {high:+.4f}]".format(**versus.loc[variant])
            )
            gain = "–"
            if "oracle" in alone.index and variant not in ("raw", "oracle"):
                whole = versus.loc["oracle"]
                # A share of what may be nothing would be noise over noise.
                gain = (
                    f"{versus.loc[variant]['difference'] / whole['difference']:.0%}"
                    if whole["low"] > 0
                    else "undefined"
                )
            lines.append(f"| {model} | {metric} | {variant} | {alone[variant]:.4f} | {told} | {gain} |")
    return [*lines, ""]
