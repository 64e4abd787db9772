"""SASRec and GRU4Rec trained on raw, denoised, control and oracle data, and asked from histories of the same kind.

Trained on the owners' sequences of train_5000 and valid; ranked are the last items of the test windows after the items
before them, over the whole catalogue. What a denoiser removes it removes in both, and it has never counted an item of
an owner who is asked for that item. Nobody edits a target. Rates 0 and 10 % are the publisher's files; the others are
planted into the clean one by `recsys.denoising.planting`, as theirs are: an item of an owner gives way to the same
uniform one in all windows; last items of windows of the test file stay.

Epochs and the denoiser's cut are chosen on the validation windows, by training on train_5000, and hold for every cell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from denoise_detect import SEED
from denoise_rates import EDITS, TEST, VALID, Rate, cut_by_validation, edited
from detector_metrics import drawn_again
from recloop.recsys.data import Split
from recloop.recsys.denoising.owners import owners
from recloop.recsys.denoising.robust import RobustGRU4Rec, RobustSASRec
from recloop.recsys.evaluation import evaluate
from recloop.recsys.models import FitContext
from recloop.recsys.models.gru4rec import GRU4Rec
from recloop.recsys.models.sasrec import SASRec

METRICS = ("ndcg@20", "hr@20")
SETTINGS: dict[str, Any] = {
    "embedding_size": 64,
    "max_length": 10,
    "batch_size": 128,
    "loss": "sampled_softmax",
    "negatives": 64,
}
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "sasrec": (SASRec, RobustSASRec, {"blocks": 1, "learning_rate": 6e-3, "dropout": 0.3}),
    "gru4rec": (GRU4Rec, RobustGRU4Rec, {"hidden_size": 128, "learning_rate": 6e-3, "dropout": 0.5}),
}
LOOKS = {"sasrec": (3, 4, 5, 6), "gru4rec": (4, 6, 8)}
"""Epochs after which the validation windows are ranked, where their number is chosen."""


def retrain_table(chosen: argparse.Namespace) -> str:
    """Means, paired differences to raw with intervals, and the share of the oracle's gain, from the cells there are."""
    folder = chosen.folder / "data" / "amazon-toys-noise"
    settled = choices(folder, chosen.out, chosen.models)
    rates = {rate: Rate(rate, folder, TEST, chosen.out) for rate in chosen.rates}
    wanted = [
        (seed, rate, name, variant)
        for seed in range(chosen.seeds)
        for name in chosen.models
        for rate in rates
        for variant in EDITS
        if rate or variant != "oracle"
    ]
    paths = {one: chosen.out / "cell-{1:g}-{2}-{3}-{0}.parquet".format(*one) for one in wanted}
    for seed, rate, name, variant in wanted:
        make = partial(cell, rates[rate], name, variant, seed, settled["epochs"][name], settled["cut"])
        if not chosen.partial:
            cached_values(paths[seed, rate, name, variant], make)
    lines = [f"chosen by validation: {json.dumps(settled)}", ""]
    for rate, at in sorted(rates.items()):
        there = [one for one in wanted if one[1] == rate and paths[one].is_file()]
        lines += [f"### Planted rate {rate:.0%}", "", removal(at, settled["cut"]), ""]
        if there:
            values = pd.concat([cached_values(paths[one], None) for one in there])
            lines += [*table(values.assign(owner=owner_of(at, values)), chosen.draws), ""]
    return "\n".join(lines)


def choices(folder: Path, out: Path, models: list[str]) -> dict[str, Any]:
    """The cut, and for each model the look at which raw data at 10 % are ranked best (seed 0), by the validation
    windows; kept in `out`."""
    path = out / "choices.json"
    settings = (
        json.loads(path.read_text("utf-8")) if path.is_file() else {"cut": cut_by_validation(folder, out), "epochs": {}}
    )
    for name in models:
        if name not in settings["epochs"]:
            at = Rate(0.1, folder, VALID, out)
            looks = {
                epochs: trained(at, name, "raw", 0, epochs, settings["cut"], out / f"looks-{name}")["ndcg@20"].mean()
                for epochs in LOOKS[name]
            }
            print(f"{name}: valid ndcg@20 {looks}", file=sys.stderr, flush=True)
            settings["epochs"][name] = max(looks, key=lambda epochs: looks[epochs])
            path.write_text(json.dumps(settings), encoding="utf-8")
    return dict(settings)


def trained(
    at: Rate, name: str, variant: str, seed: int, epochs: int, cut: float, folder: Path | None = None
) -> pd.DataFrame:
    """METRICS of every asked window (index: user code) by one model. folder: of a training that may be gone on with."""
    noise = at.toys.truth.planted if variant == "oracle" else at.doubt >= cut
    train, bad = at.sequences(noise)
    known, targets, past = at.targets()
    model = made(name, variant, epochs)
    model.fit(edited(train, bad, variant, seed), None, FitContext(seed=seed, threads=1, folder=folder))
    split = Split(known, known.rows(np.zeros(len(known), bool)), targets)
    history = edited(known, noise[past], variant, seed)
    users = np.flatnonzero(targets.user_counts)
    values = evaluate(model, split, metrics=METRICS, history=history, users=users).tidy()
    return values[values["group"] == "all"].pivot(index="user", columns="metric", values="value")


def cell(at: Rate, name: str, variant: str, seed: int, epochs: int, cut: float) -> pd.DataFrame:
    """A row a window and metric: user, metric, value, and which model, variant and seed."""
    began = time.perf_counter()
    wide = trained(at, name, variant, seed, epochs, cut)
    print(f"{at.rate:g} {name} {variant} {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return wide.reset_index().melt("user", var_name="metric").assign(model=name, variant=variant, seed=seed)


def made(name: str, variant: str, epochs: int) -> Any:
    plain, robust, own = MODELS[name]
    settings = SETTINGS | own | {"epochs": epochs}
    if variant in ("T-CE", "R-CE"):
        rule = "truncate" if variant == "T-CE" else "reweight"
        return robust(robust.Config(rule=rule, drop_steps=200, **settings))
    return plain(plain.Config(**settings))


def cached_values(path: Path, make: Callable[[], pd.DataFrame] | None) -> pd.DataFrame:
    """The table at `path`, made now where it is not there."""
    if make is not None and not path.is_file():
        make().to_parquet(path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return pd.read_parquet(path)


def owner_of(at: Rate, values: pd.DataFrame) -> npt.NDArray[np.int64]:
    """(n,) whose window each row of a cell is of."""
    return owners(at.toys.data)[values["user"].to_numpy(np.int64)]


def removal(at: Rate, cut: float) -> str:
    """What the denoiser removes from the training sequences, and how much of it was planted."""
    train, bad = at.sequences(at.doubt >= cut)
    _, noise = at.sequences(at.toys.truth.planted)
    hits = int((bad & noise).sum())
    return f"{int(bad.sum())} of {len(train)} training rows removed, {hits} of {int(noise.sum())} planted among them"


def table(values: pd.DataFrame, draws: int) -> list[str]:
    """A line a model, metric and variant; the seeds that a variant and raw both have are averaged a window."""
    lines = ["| model | metric | variant | seeds | mean | less raw | share of the oracle's gain |"]
    lines.append("|---|---|---|--:|--:|---|--:|")
    for (model, metric), part in values.groupby(["model", "metric"], sort=False):
        wide = part.pivot(index=["owner", "user"], columns=["variant", "seed"], values="value")
        gains = {variant: gain(wide, variant, draws) for variant in EDITS if variant in wide.columns.levels[0]}
        whole = gains.get("oracle")
        for variant, (seeds, mean, difference, resampled) in gains.items():
            text, share = "", "–"
            if variant != "raw":
                low, high = np.percentile(resampled, [2.5, 97.5])
                text = f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]"
            if whole is not None and variant not in ("raw", "oracle"):
                share = share_of(difference, resampled, whole[2], whole[3])
            lines.append(f"| {model} | {metric} | {variant} | {seeds} | {mean:.4f} | {text} | {share} |")
    return lines


Gain = tuple[int, float, float, npt.NDArray[np.float64]]


def gain(wide: pd.DataFrame, variant: str, draws: int) -> Gain:
    """Seeds, mean, difference to raw, and that difference with owners drawn again (draws,): windows of one owner share
    histories and are drawn together. The same owners are drawn for every variant."""
    raw = wide["raw"]
    seeds = [seed for seed in wide[variant].columns if seed in raw.columns]
    mine = wide[variant][seeds].to_numpy(np.float64).mean(1)
    difference = mine - raw[seeds].to_numpy(np.float64).mean(1)
    weights = drawn_again(wide.index.get_level_values("owner").to_numpy(), np.random.default_rng([SEED, 8]), draws)
    resampled = np.array([np.average(difference, weights=count) for count in weights])
    return len(seeds), float(mine.mean()), float(difference.mean()), resampled


def share_of(
    difference: float, resampled: npt.NDArray[np.float64], whole: float, whole_drawn: npt.NDArray[np.float64]
) -> str:
    """Of the oracle's gain; a share of what may be nothing would be noise over noise. No interval where a draw of that
    gain is not above 0."""
    if np.percentile(whole_drawn, 2.5) <= 0:
        return "undefined"
    if whole_drawn.min() <= 0:
        return f"{difference / whole:.0%}"
    low, high = np.percentile(resampled / whole_drawn, [2.5, 97.5])
    return f"{difference / whole:.0%} [{low:.0%}, {high:.0%}]"
