"""Click prediction on MovieLens-100K: AUC with intervals, paired against logistic regression and the FM, and seconds.

Label: rating >= 4. `time` splits at two moments (8:1:1), so train knows nothing of the future and most users of the
test side are new; `random` draws rows (8:1:1), as published figures do. Every field, code and hyperparameter is from
train and validation; the test side is predicted once. Histories hold rows of train that are earlier than the row
predicted. Intervals (95 %) draw users again, all rows of a user together; models see the same draws.

    python benchmarks/clicks.py --split time
    python benchmarks/clicks.py --split random --models logistic fm deepfm
    python benchmarks/clicks.py --split random --models deepfm --split-seeds 0 1 2     # other draws of the sides
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
from recloop.recsys.clicks import CLICK_MODELS, judge_clicks, random_rows
from recloop.recsys.data import Split, global_time, read_movielens
from recloop.recsys.models import FitContext, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-100k"
    parser.add_argument("--data", type=Path, default=here, help="folder with u.data, u.item and u.user")
    parser.add_argument("--split", choices=["time", "random"], default="time")
    parser.add_argument("--split-seeds", type=int, nargs="+", default=[0], help="draws of the random split")
    parser.add_argument("--models", nargs="+", choices=CLICK_MODELS, default=list(CLICK_MODELS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draws", type=int, default=2000)
    chosen = parser.parse_args()

    data = read_movielens(chosen.data)
    print(
        f"{chosen.threads} thread(s) of {os.cpu_count()} cores, torch {torch.__version__}, "
        f"Python {platform.python_version()}, seeds 0 to {chosen.seeds - 1}. Times are wall seconds, load average "
        f"{os.getloadavg()[0]:.1f} at the start."
    )
    for split_seed in chosen.split_seeds if chosen.split == "random" else [0]:
        split = random_rows(data, seed=split_seed) if chosen.split == "random" else global_time(data)
        print(f"\n{described(chosen.split, split_seed, split)}\n")
        report(split, chosen.models, chosen.seeds, chosen.threads, chosen.draws)


def described(kind: str, seed: int, split: Split) -> str:
    sides = ", ".join(f"{name} {len(getattr(split, name))}" for name in ("train", "valid", "test"))
    known = np.isin(split.test.user, split.train.user).mean()
    seeded = f" (seed {seed})" if kind == "random" else ""
    return (
        f"Split {kind}{seeded}: {sides} rows. Test: {len(np.unique(split.test.user))} users, {known:.0%} of the rows "
        f"are of users whom train knows, {(split.test.value >= 4).mean():.1%} are clicks."
    )


def report(split: Split, names: list[str], seeds: int, threads: int, draws: int) -> None:
    """The table of one split, then every model against logistic regression and the FM."""
    chances, times = {}, {}
    for name in names:
        chances[name], times[name] = trained(name, split, seeds, threads)
    against = [name for name in ("logistic", "fm") if name in names and len(names) > 1]
    comparisons = judge_clicks(split.test, chances, against=against, draws=draws).set_index(
        ["model", "metric", "against"]
    )
    print("| model | AUC | logloss | AUC within users | valid AUC | epochs | an epoch, s | fit, s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        figures = " | ".join(
            interval_text(comparisons.loc[name, metric, ""]) for metric in ("auc", "logloss", "user_auc")
        )
        print(f"| {name} | {figures} | {' | '.join(times[name])} |")
    if not against:
        return
    print(f"\n| AUC minus that of | {' | '.join(against)} |")
    print("|---|" + "---|" * len(against))
    for name in names:
        cells = [
            "-"
            if other == name
            else f"{interval_text(row := comparisons.loc[name, 'auc', other], '+')} p={row['p']:.3f}"
            for other in against
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def trained(name: str, split: Split, seeds: int, threads: int) -> tuple[np.ndarray, list[str]]:
    """(seeds, rows of test) chances, and the cells about the training."""
    chances, rows = [], []
    for seed in range(seeds):
        clicks = model(name)
        began = time.perf_counter()
        clicks.fit(split.train, split.valid, FitContext(seed=seed, threads=threads))
        spent = time.perf_counter() - began
        epochs = clicks.log.epochs
        valid = epochs[clicks.log.best_epoch - 1].validation
        rows.append((valid, len(epochs), np.median([e.seconds for e in epochs]), spent))
        chances.append(clicks.predict(split.test, split.train))
    valid, count, epoch, fit = np.mean(rows, 0)
    return np.stack(chances), [f"{valid:.4f}", f"{count:.0f}", f"{epoch:.2f}", f"{fit:.1f}"]


def interval_text(row: pd.Series, sign: str = "") -> str:
    return f"{row['mean']:{sign}.4f} [{row['low']:{sign}.4f}, {row['high']:{sign}.4f}]"


if __name__ == "__main__":
    main()
