"""Seconds and peak memory of full-ranking evaluation, the time of scoring apart.

    python benchmarks/evaluation_speed.py ml-100k       943 users,    1,682 items
    python benchmarks/evaluation_speed.py amazon-games  50,546 users, 16,859 items
    python benchmarks/evaluation_speed.py million       200 users, 1,000,000 items

Sizes are those of the real data, the interactions are random: what is timed does not depend on taste. One process a
size, since the peak is the process's.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd
from recloop.recsys.data import Dataset, Split
from recloop.recsys.evaluation import evaluate

SIZES = {
    "ml-100k": (943, 1_682, 100_000),
    "amazon-games": (50_546, 16_859, 440_264),
    "million": (200, 1_000_000, 1_200_000),
}
METRICS = ("recall@10", "ndcg@10", "hr@10", "mrr@10")


class Random:
    """Inner products of random vectors, the scoring of every factor model; keeps the seconds it took."""

    name = "random"

    def __init__(self, n_users: int, n_items: int, size: int = 64) -> None:
        rng = np.random.default_rng(0)
        self.users = rng.standard_normal((n_users, size), dtype=np.float32)
        self.items = rng.standard_normal((n_items, size), dtype=np.float32)
        self.seconds = 0.0

    def score(self, users: np.ndarray, history: Dataset) -> np.ndarray:
        started = time.perf_counter()
        scores = self.users[users] @ self.items.T
        self.seconds += time.perf_counter() - started
        return scores


def leave_last_out(n_users: int, n_items: int, n: int) -> Split:
    """About n random distinct interactions, at least three a user and one an item, split by position."""
    rng = np.random.default_rng(1)
    user = np.concatenate([np.tile(np.arange(n_users), 4), rng.integers(0, n_users, n - 4 * n_users)])
    pairs = pd.DataFrame({"user_id": user, "item_id": np.resize(rng.permutation(n_items), n)}).drop_duplicates()
    data = Dataset.of("random", pairs)
    last = data.indptr[1:] - 1
    valid, test = np.zeros(len(data), bool), np.zeros(len(data), bool)
    test[last], valid[last - 1] = True, True
    return Split(data.rows(~valid & ~test), data.rows(valid), data.rows(test))


def main(size: str) -> None:
    n_users, n_items, n = SIZES[size]
    split = leave_last_out(n_users, n_items, n)
    model = Random(split.train.n_users, split.train.n_items)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    taken, scoring = [], []
    for _ in range(7 if size == "ml-100k" else 1):
        model.seconds = 0.0
        started = time.perf_counter()
        evaluation = evaluate(model, split, metrics=METRICS)
        taken.append(time.perf_counter() - started)
        scoring.append(model.seconds)
    apart = np.array(taken) - np.array(scoring)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    held = sum(map(len, (split.train, split.valid, split.test)))
    print(f"{size}: {split.train.n_users} users, {split.train.n_items} items, {held} interactions")
    print(f"  whole {min(taken):.3f} s (median {np.median(taken):.3f}), apart from scoring {min(apart):.3f} s ", end="")
    print(f"(median {np.median(apart):.3f}); peak RSS {peak:.0f} MB, {before:.0f} MB before it")
    print(f"  recall@10 {evaluation.mean('recall@10'):.5f}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SIZES:
        sys.exit(f"usage: python benchmarks/evaluation_speed.py {{{','.join(SIZES)}}}")
    main(sys.argv[1])
