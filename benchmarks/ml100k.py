"""Accuracy and time of the recommenders on MovieLens-100K, leave-last-out, as one Markdown table.

Protocol: every rating is a positive; the files in `loo/` name each user's test item (the last) and validation item
(the one before); all 1,682 items are ranked, those of train and valid masked; 943 users. "train" rows learn from train
alone, "train+valid" rows from both, for the number of epochs that was best on valid. Hyperparameters were chosen on
valid.

    python benchmarks/ml100k.py                                # the whole table, three seeds
    python benchmarks/ml100k.py --models sasrec --seeds 1      # one model, one seed
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recloop.recsys.data import Split, together
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation.ranking import evaluate
from recloop.recsys.models import FitContext, model

SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "popularity": ("popularity", {}),
    "itemknn": ("itemknn", {}),
    "itemknn-tfidf": ("itemknn", {"weighting": "tfidf", "neighbours_of": "history"}),
    "itemknn-bm25": (
        "itemknn",
        {"weighting": "bm25", "neighbours_of": "history", "neighbours": 100, "k1": 100, "b": 0.5},
    ),
    "ease": ("ease", {}),
    "ials": ("ials", {}),
    "bpr": ("bpr", {}),
    "bpr-256": ("bpr", {"embedding_size": 256, "learning_rate": 1e-3}),
    "lightgcn": ("lightgcn", {}),
    "gru4rec": ("gru4rec", {}),
    "sasrec": ("sasrec", {}),
    "bert4rec": ("bert4rec", {}),
}
"""Rows by name: the model, and what differs from its defaults. The second ItemKNN row is the setting of `implicit`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-100k"
    parser.add_argument("--data", type=Path, default=here, help="folder with u.data and loo/")
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds; models without chance run once")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--learnt-from", choices=["train", "both"], default="both", help="which rows to make")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()

    split = given(read_movielens(chosen.data), chosen.data / "loo" / "valid.tsv", chosen.data / "loo" / "test.tsv")
    print(
        f"{split.train.n_users} users, {split.train.n_items} items; "
        f"train {len(split.train)}, valid {len(split.valid)}, test {len(split.test)}. "
        f"{chosen.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}, "
        f"Python {platform.python_version()}. "
        f"Times are wall seconds, load average {os.getloadavg()[0]:.1f} at the start.\n"
    )
    print(
        "| model | learnt from | NDCG@10 | Recall@10 | valid NDCG@10 | fit, s | epochs | an epoch, s | evaluation, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in chosen.models:
        sides = ("train",) if chosen.learnt_from == "train" else ("train", "train+valid")
        seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
        rows = pd.DataFrame([row for seed in seeds for row in measured(name, split, seed, chosen.threads, sides)])
        for learnt_from, group in rows.groupby("learnt from", sort=False):
            cells = (spread(group[column], digits) for column, digits in COLUMNS.items())
            print(f"| {name} | {learnt_from} | {' | '.join(cells)} |", flush=True)


COLUMNS = {"ndcg": 4, "recall": 4, "valid": 4, "fit": 2, "epochs": 0, "epoch": 2, "evaluation": 3}


def measured(name: str, split: Split, seed: int, threads: int, sides: tuple[str, ...]) -> list[dict[str, object]]:
    """A row a side: fitted on train with valid for early stopping, then fitted on both for as many epochs."""
    kind, settings = SETTINGS[name]
    context = FitContext(seed=seed, threads=threads)
    rows: list[dict[str, object]] = []
    epochs: dict[str, object] = {}
    spent = 0.0
    for learnt_from in sides:
        recommender = model(kind, **settings, **epochs)
        began = time.perf_counter()
        if learnt_from == "train":
            recommender.fit(split.train, split.valid, context)
        else:
            recommender.fit(together(split.train, split.valid), None, context)
        spent += time.perf_counter() - began
        began = time.perf_counter()
        tested = evaluate(recommender, split, metrics=["ndcg@10", "recall@10"])
        row: dict[str, object] = {
            "learnt from": learnt_from,
            "ndcg": tested.mean("ndcg@10"),
            "recall": tested.mean("recall@10"),
            "evaluation": time.perf_counter() - began,
            "fit": spent,
            "valid": np.nan,
            "epochs": np.nan,
            "epoch": np.nan,
        }
        log = getattr(recommender, "log", None)
        if log is not None:
            row |= {"epochs": len(log.epochs), "epoch": np.median([e.seconds for e in log.epochs])}
        if learnt_from == "train":
            row["valid"] = evaluate(recommender, split, metrics=["ndcg@10"], side="valid").mean("ndcg@10")
            epochs = {"epochs": log.best_epoch} if log is not None else {}
        rows.append(row)
    return rows


def spread(values: pd.Series, digits: int) -> str:
    if values.isna().all():
        return "-"
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 or values.std() == 0 else f"{mean} ± {values.std():.{digits}f}"


if __name__ == "__main__":
    main()
