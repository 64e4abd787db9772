"""The detectors of `denoise.py`, what each was learnt from, and their table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from detector_combination import Weighted, fitted, rank_sum
from detector_features import content_and_company
from detector_metrics import best_threshold, calibration_error, judge, over_removal
from learnt_detectors import cross_fitted, ease_doubt, sasrec_doubt
from recloop.recsys.data import Dataset
from recloop.recsys.data.windows import Truth, read_planted, side_of
from recloop.recsys.denoising.coherence import (
    neighbour_doubt,
    others_with,
    popularity_doubt,
    random_doubt,
    text_doubt,
)
from recloop.recsys.denoising.owners import Bools, Doubts, holdings, owners
from recloop.recsys.denoising.planting import planted
from recloop.recsys.models import FitContext

SEED = 0
FOLDS = 2
LOG, TRAIN = "the log to be cleaned", "train_5000"
COLD = 3
"""Items that fewer other owners hold."""


@dataclass(frozen=True)
class Toys:
    """All windows of one noise file. `truth` is for those who judge, and, where a row says so, who learn."""

    data: Dataset
    truth: Truth
    train: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]


@cache
def windows_at(folder: Path) -> Toys:
    data, truth = read_planted(folder)
    return of(data, truth)


def of(data: Dataset, truth: Truth) -> Toys:
    return Toys(data, truth, *(side_of(data, side) for side in ("train_5000", "valid", "test")))


def doubts_of(toys: Toys, out: Path, *, slow: bool) -> dict[str, Doubts]:
    """Detector, with what it has learnt from, -> (n,) doubts; kept in `out` by the data's fingerprint."""
    data, texts = toys.data, toys.data.items["title"].tolist()
    makers: dict[str, Callable[[], Doubts]] = {
        "random": lambda: random_doubt(data, SEED),
        f"low popularity, {TRAIN}": lambda: popularity_doubt(data, toys.train),
        f"low popularity, {LOG}": lambda: popularity_doubt(data),
        "TF-IDF coherence": lambda: text_doubt(data, texts),
        f"ItemKNN coherence, {TRAIN}": lambda: neighbour_doubt(data, toys.train),
        f"ItemKNN coherence, {LOG}": lambda: neighbour_doubt(data),
    }
    if slow:
        threads = FitContext(seed=SEED, threads=1)
        makers[f"EASE residual, {LOG}"] = lambda: cross_fitted(
            data, lambda learn, _: ease_doubt(data, learn), FOLDS, SEED
        )
        makers[f"SASRec likelihood, {LOG}"] = lambda: cross_fitted(
            data, lambda learn, _: sasrec_doubt(data, learn, context=threads), FOLDS, SEED
        )
    detectors = {}
    for name, make in makers.items():
        path = out / f"{data.fingerprint}-{name.replace(' ', '_').replace(',', '')}.npy"
        if not path.is_file():
            began = time.perf_counter()
            np.save(path.with_suffix(".partial.npy"), make())
            path.with_suffix(".partial.npy").replace(path)
            print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        detectors[name] = np.load(path)
    return detectors


def self_supervised(
    data: Dataset, evidence: Bools | None = None, seed: int = SEED
) -> tuple[Weighted, dict[str, Doubts]]:
    """A combination that no truth has been shown to, and its columns on `data`.

    Find-and-replace as LLM4DSR's samples are made: random items are planted into the windows as they are, noise
    included, and the combination learns to find those. evidence: (n,) the rows that may be known of; else all.
    """
    texts = data.items["title"].tolist()
    more, own = planted(data, 0.1, seed + 1)
    used = np.ones(len(data), bool) if evidence is None else evidence
    detectors = fitted(content_and_company(more, texts, used), own.planted, used)
    return detectors, content_and_company(data, texts, used)


def combined(toys: Toys, doubts: Mapping[str, Doubts]) -> dict[str, Doubts]:
    """The combinations: by rank, learnt without truth, learnt from the truth of train_5000."""
    blind, columns = self_supervised(toys.data)
    parts = [f"low popularity, {LOG}", "TF-IDF coherence", f"ItemKNN coherence, {LOG}"]
    detectors = {
        "rank sum of popularity, TF-IDF, ItemKNN": rank_sum({name: doubts[name] for name in parts}),
        "combination, self-planted noise": blind(columns),
        "combination, truth of train_5000": fitted(columns, toys.truth.planted, toys.train)(columns),
    }
    learnt = [name for name in doubts if name.startswith(("EASE", "SASRec"))]
    if learnt:
        wide = columns | {name: doubts[name] for name in learnt}
        detectors["combination + EASE + SASRec, truth of train_5000"] = fitted(wide, toys.truth.planted, toys.train)(
            wide
        )
    return detectors


def detect_table(toys: Toys, doubts: Mapping[str, Doubts], draws: int) -> tuple[str, dict[str, Any]]:
    """Markdown, and the same as plain values. Intervals: test windows drawn again, 95 %. A doubt that is NaN in some
    windows is judged on the others."""
    truth, cold = toys.truth.planted, others_with(toys.data, holdings(toys.data)) < COLD
    owner = owners(toys.data)[toys.data.user]
    lines = ["| detector | AUC | by owners | AP | F1 | precision | recall | ECE | cold / other true rows flagged |"]
    lines.append("|---|---|---|---|---|--:|--:|--:|---|")
    figures = {}
    for name, doubt in doubts.items():
        valid, test = toys.valid & ~np.isnan(doubt), toys.test & ~np.isnan(doubt)
        cut = best_threshold(doubt[valid], truth[valid])
        by = {
            key: judge(doubt[test], truth[test], cut, group[test], np.random.default_rng([SEED, 5]), draws)
            for key, group in (("windows", toys.data.user), ("owners", owner))
        }
        scaled = calibrated(doubt, truth, valid, test)
        error = calibration_error(scaled, truth[test])
        over = over_removal(doubt[test], truth[test], cold[test], cut)
        figures[name] = {key: verdict.as_json() for key, verdict in by.items()} | {"ece": error, "over_removal": over}
        one, other = by["windows"], by["owners"]
        lines.append(
            f"| {name} | {span(one.auc)} | [{other.auc.low:.3f}, {other.auc.high:.3f}] | {span(one.ap)} | "
            f"{span(one.f1)} | "
            f"{one.precision:.3f} | {one.recall:.3f} | {error:.3f} | {over['cold']:.3f} / {over['warm']:.3f} |"
        )
    head = f"{int(toys.test.sum())} test rows, {int(truth[toys.test].sum())} planted; cold: held by < {COLD} others\n\n"
    return head + "\n".join(lines), figures


def calibrated(doubt: Doubts, truth: Bools, valid: Bools, test: Bools) -> Doubts:
    """Test doubts as probabilities, by a logistic curve fitted on the validation windows."""
    return fitted({"doubt": doubt}, truth, valid)({"doubt": doubt})[test]


def span(figure: Any) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
