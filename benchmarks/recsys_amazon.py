"""The recommenders on amazon-games (50,546 users, 16,859 items, 440,264 interactions): accuracy, time and memory.

    python benchmarks/recsys_amazon.py                          # popularity, ItemKNN, iALS, BPR, SASRec
    python benchmarks/recsys_amazon.py --models sasrec --seeds 3

Leave-last-out (the second last item of a user is validation), full ranking of 16,859 items, train and validation items
masked, fitted on train alone with early stopping on 5,000 users of the validation side. Every model and seed is a
process of its own: the peak is that of reading, fitting and ranking, the interpreter and torch included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "popularity": ("popularity", {}),
    "itemknn": ("itemknn", {}),
    "ials": ("ials", {}),
    "bpr": ("bpr", {"batch_size": 8192, "evaluate_every": 5, "patience": 4, "lazy": True}),
    "sasrec": ("sasrec", {"batch_size": 256, "epochs": 40, "evaluate_every": 2, "patience": 3}),
    "sasrec-gbce": (
        "sasrec",
        {"loss": "gbce", "negatives": 256, "batch_size": 256, "epochs": 40, "evaluate_every": 2, "patience": 3},
    ),
}
"""Rows by name: the model, and what differs from its defaults. Batches are larger because the log is."""


def measured(name: str, file: Path, seed: int, threads: int, epochs: int | None) -> dict[str, object]:
    from recloop.recsys.data import DataConfig, load_split
    from recloop.recsys.evaluation import evaluate
    from recloop.recsys.models import FitContext, model

    split = load_split(DataConfig(source="atomic", path=file))
    kind, settings = SETTINGS[name]
    learner = model(kind, **settings | ({"epochs": epochs} if epochs and "batch_size" in settings else {}))
    torch.set_num_threads(threads)
    began = time.perf_counter()
    learner.fit(split.train, split.valid, FitContext(seed=seed, threads=threads))
    fitted = time.perf_counter() - began
    began = time.perf_counter()
    evaluation = evaluate(learner, split, metrics=["ndcg@10", "recall@10"])
    row = {
        "model": name,
        "seed": seed,
        "users": split.train.n_users,
        "items": split.train.n_items,
        "train": len(split.train),
        "ndcg@10": round(evaluation.mean("ndcg@10"), 5),
        "recall@10": round(evaluation.mean("recall@10"), 5),
        "fit_s": round(fitted, 1),
        "evaluation_s": round(time.perf_counter() - began, 1),
    }
    log = getattr(learner, "log", None)
    if log is not None:
        row |= {"epochs": len(log.epochs), "best_epoch": log.best_epoch}
        row["epoch_s"] = round(sorted(e.seconds for e in log.epochs)[len(log.epochs) // 2], 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return row | {"peak_mb": round((peak if sys.platform == "darwin" else peak * 1024) / 1e6)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2] / "shared" / "data" / "amazon-games" / "Games-6k.test.inter"
    options.add_argument("--data", type=Path, default=here)
    options.add_argument("--models", nargs="+", choices=SETTINGS, default=[*SETTINGS][:-1], metavar="NAME")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--epochs", type=int, help="at most so many, to fit a time limit")
    options.add_argument("--one", type=int, help="this seed of the one model, in this process")
    chosen = options.parse_args()
    if chosen.one is not None:
        print(json.dumps(measured(chosen.models[0], chosen.data, chosen.one, chosen.threads, chosen.epochs)))
        return
    for name in chosen.models:
        chance = name in ("ials", "bpr", "sasrec", "sasrec-gbce")
        for seed in range(chosen.seeds if chance else 1):
            words = [sys.executable, __file__, "--data", str(chosen.data), "--models", name, "--one", str(seed)]
            words += ["--threads", str(chosen.threads), *(["--epochs", str(chosen.epochs)] if chosen.epochs else [])]
            subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
