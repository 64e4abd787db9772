"""A log of ten million interactions on one core: load and split, an epoch of BPR, and the most memory either took.

    python benchmarks/recsys_scale.py                       # makes the log in /tmp if it is not there (300 MB)
    python benchmarks/recsys_scale.py --rows 1000000        # a tenth of it
    python benchmarks/recsys_scale.py --evaluate            # and what the epoch is worth beside popularity

The log is synthetic and seeded: 200,000 users of log-normal activity, 50,000 items of a power law, 20 tastes; a row in
two is drawn from the user's own taste. Rows are in order of time, as a service writes them. Every step is a process of
its own, so that its peak is not another's; the peak counts the interpreter and torch too (about 400 MB).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

ROWS, USERS, ITEMS, TASTES = 10_000_000, 200_000, 50_000, 20
BATCH = 16_384
"""Rows a step of BPR: the default of 2,048 is for logs a hundred times smaller."""


def make_log(file: Path, rows: int, seed: int = 0) -> None:
    """`rows` distinct (user, item) pairs with ratings and times, sorted by time. Users and items scale with rows."""
    rng = np.random.default_rng([seed, rows])
    users, items = max(rows * USERS // ROWS, 100), max(rows * ITEMS // ROWS, 100) // TASTES * TASTES
    activity = rng.lognormal(0.0, 1.2, users)
    popularity = 1 / (np.arange(items) + 20.0) ** 0.9
    taste = rng.integers(0, TASTES, users)
    keys = np.empty(0, np.int64)
    while len(keys) < rows:
        count = int((rows - len(keys)) * 1.3) + 1000
        user = rng.choice(users, count, p=activity / activity.sum())
        item = rng.choice(items, count, p=popularity / popularity.sum())
        own = rng.random(count) < 0.5
        item[own] = item[own] // TASTES * TASTES + taste[user[own]]
        keys = np.unique(np.concatenate([keys, user * items + item]))
    keys = rng.permutation(keys)[:rows]
    when = np.sort(rng.integers(1_500_000_000, 1_600_000_000, rows))
    names = rng.permutation(items)
    table = pa.table(
        {
            "user_id": keys // items + 1,
            "item_id": names[keys % items] + 1,
            "rating": rng.integers(1, 6, rows).astype(np.int8),
            "timestamp": when,
        }
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    csv.write_csv(table, file.with_suffix(".partial"))
    os.replace(file.with_suffix(".partial"), file)


def load(file: Path) -> tuple[object, dict[str, object]]:
    from recloop.recsys.data import DataConfig, load, split

    config = DataConfig(source="table", path=file, columns={"value": "rating"}, time="s")
    began = time.perf_counter()
    data = load(config)
    read = time.perf_counter() - began
    sides = split(data, config)
    whole = time.perf_counter() - began
    counts = f"{data.n_users} users, {data.n_items} items, {len(data)} interactions; train {len(sides.train)}"
    return sides, {"data": counts, "load_s": round(read, 1), "load_and_split_s": round(whole, 1)}


def bpr(file: Path, batch_size: int, evaluated: bool) -> dict[str, object]:
    from recloop.recsys.evaluation import evaluate
    from recloop.recsys.models import FitContext, model

    sides, facts = load(file)
    facts["peak_mb_after_load"] = peak_mb()
    learner = model("bpr", epochs=1, batch_size=batch_size, lazy=True)
    began = time.perf_counter()
    learner.fit(sides.train, None, FitContext(threads=1))
    facts |= {
        "batch_size": batch_size,
        "epoch_s": round(learner.log.epochs[0].seconds, 1),
        "fit_s": round(time.perf_counter() - began, 1),
        "loss": round(learner.log.epochs[0].loss, 4),
        "peak_mb": peak_mb(),
    }
    if evaluated:
        users = np.sort(np.random.default_rng(0).choice(sides.train.n_users, 5000, replace=False))
        popular = model("popularity")
        popular.fit(sides.train)
        for one in (popular, learner):
            facts[f"ndcg@10 {one.name}"] = round(
                evaluate(one, sides, metrics=["ndcg@10"], users=users).mean("ndcg@10"), 4
            )
    return facts


def peak_mb() -> int:
    """The most resident memory of this process so far (Linux gives KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round((peak if sys.platform == "darwin" else peak * 1024) / 1e6)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--batch-size", type=int, default=BATCH)
    options.add_argument("--evaluate", action="store_true", help="rank 5,000 users' test items with what was learnt")
    default_folder = Path(tempfile.gettempdir()) / "recloop-scale"
    options.add_argument("--folder", type=Path, default=default_folder, help="where the log is kept")
    options.add_argument("--step", choices=["make", "load", "bpr"], help="one step, in this process")
    chosen = options.parse_args()
    file = chosen.folder / f"log-{chosen.rows}.csv"
    if chosen.step == "make":
        make_log(file, chosen.rows)
    elif chosen.step == "load":
        print(json.dumps({**load(file)[1], "peak_mb": peak_mb()}), flush=True)
    elif chosen.step == "bpr":
        print(json.dumps(bpr(file, chosen.batch_size, chosen.evaluate)), flush=True)
    else:
        for step in ["load", "bpr"] if file.exists() else ["make", "load", "bpr"]:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--step", step], check=True)


if __name__ == "__main__":
    main()
