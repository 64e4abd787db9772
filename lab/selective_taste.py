"""Recorded scores of a real LLM as the pair table: is its order right, for whom, and does hearing it move anything?

80 users of ml-latest-small; of each the ten items taken last and ten of like popularity that were never taken
(`replies/README.md`). Those ten items are held out, and the candidates hold them by construction: half of all scored
items are right ones. So a full ranking gains from any push of scored items, and only the rows with random and shuffled
scores tell what the LLM's word is worth.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recloop.recsys.data import Dataset, Split, leave_last_out, read_movielens
from recloop.recsys.evaluation import evaluate, user_auc
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores, random_scores, shuffled_scores
from recloop.recsys.models import FitContext
from selective_parts import difference_text

HELD = 10
"""Last rows of each user that the recorded scores foretell."""
MODELS = {
    "bpr": {"epochs": 60, "evaluate_every": 5, "patience": 4},
    "sasrec": {
        "epochs": 8,
        "evaluate_every": 2,
        "patience": 2,
        "batch_size": 128,
        "learning_rate": 3e-3,
        "loss": "sampled_softmax",
        "negatives": 128,
    },
}
ROWS = {
    "none": ("told", "closed"),
    "open": ("told", "open"),
    "paper": ("told", "paper"),
    "held_out": ("told", "held_out"),
    "random": ("random", "open"),
    "shuffled": ("shuffled", "open"),
}


def taken_and_others(shared: Path) -> tuple[PairScores, Dataset, Dataset, Dataset]:
    """The recorded scores, train, the last rows of those 80 users, and the last rows of all others."""
    data = read_movielens(shared / "ml-latest-small" / "ml-latest-small.zip")
    split = leave_last_out(data, valid=0, test=HELD)
    llm_scores = recorded(shared.parent / "replies" / "ml_latest_small_taste.jsonl", data)
    of_them = np.isin(split.test.user, llm_scores.user)
    return llm_scores, split.train, split.test.rows(of_them), split.test.rows(~of_them)


def taste(shared: Path, out: Path, weight: float, seeds: int, until: float) -> None:
    """The table of rows and models; each training's values are kept in `out`."""
    llm_scores, train, held, chooses = taken_and_others(shared)
    split = Split(train, train.rows(np.zeros(len(train), bool)), held)
    rng = np.random.default_rng(1)
    scores = {
        "told": llm_scores,
        "random": random_scores(llm_scores, rng),
        "shuffled": shuffled_scores(llm_scores, rng),
    }
    users = np.unique(llm_scores.user)
    halves = np.random.default_rng(0).permutation(users)
    right = pd.MultiIndex.from_arrays([llm_scores.user, llm_scores.item]).isin(
        pd.MultiIndex.from_arrays([held.user, held.item])
    )
    alone = np.nanmean(user_auc(llm_scores.user, right, llm_scores.score, train.n_users))
    print(f"\nAUC within the 20 items, the LLM alone: {alone:.3f}. Lambda {weight:g}, {seeds} seeds.\n")
    print("| model | row | AUC within the 20 | row - none | NDCG@10, full ranking | row - none | row - shuffled |")
    print("|---|---|--:|---|--:|---|---|")
    for name in MODELS:
        ndcg: dict[str, np.ndarray] = {}
        area: dict[str, np.ndarray] = {}
        for row, (which, gate) in ROWS.items():
            runs = []
            for seed in range(seeds):
                file = out / "taste" / f"{name}-{row}-s{seed}-w{weight:g}.npy"
                if not file.exists():
                    if time.perf_counter() > until:
                        raise SystemExit("out of time; run the same again")
                    config = GuidedConfig(model=name, settings=MODELS[name], gate=gate, weight=weight)  # type: ignore[arg-type]
                    figures = crossed(Guided(config, scores[which]), split, held, chooses, halves, right, seed)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    np.save(file, np.stack(figures))
                runs.append(np.load(file))
            ndcg[row], area[row] = (np.stack([run[part] for run in runs]) for part in (0, 1))
        for row in ROWS:
            first = "-" if row == "none" else difference_text(area[row], area["none"])
            others = [
                "-" if row == other else difference_text(ndcg[row], ndcg[other]) for other in ("none", "shuffled")
            ]
            cells = [f"{np.nanmean(area[row]):.3f}", first, f"{np.nanmean(ndcg[row]):.4f}", *others]
            print(f"| {name} | {row} | " + " | ".join(cells) + " |", flush=True)


def crossed(
    guided: Guided, split: Split, held: Dataset, chooses: Dataset, halves: np.ndarray, right: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(users,) NDCG@10 and AUC within the 20, users ascending; each half by a gate that was fitted to the other."""
    assert guided.scores is not None
    llm_scores = guided.scores
    fitted = guided.config.gate == "held_out"
    value, area = np.full((2, split.train.n_users), np.nan)
    sides = [halves[::2], halves[1::2]]
    for tested, told_truth in (sides, sides[::-1]) if fitted else ((halves, halves),):
        truth = held.rows(np.isin(held.user, told_truth)) if fitted else None
        guided.fit(split.train, chooses, FitContext(seed, threads=1), truth)
        users = np.sort(tested).astype(np.int32)
        value[users] = evaluate(guided, split, metrics=["ndcg@10"], users=users).values("ndcg@10")
        of = np.isin(llm_scores.user, users)
        x = guided.score(users, split.train)[np.searchsorted(users, llm_scores.user[of]), llm_scores.item[of]]
        area[users] = user_auc(llm_scores.user[of], right[of], x, split.train.n_users)[users]
    owners = np.unique(halves)
    return value[owners], area[owners]


def recorded(path: Path, data: Dataset) -> PairScores:
    """The recorded scores, 0 to 100, by the data's codes."""
    users = {int(u): code for code, u in enumerate(data.users["user_id"])}
    items = {int(i): code for code, i in enumerate(data.items["item_id"])}
    rows: list[tuple[Any, ...]] = [
        (users[line["user"]], items[item], score / 100)
        for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for item, score in zip(line["items"], line["score"], strict=True)
    ]
    return PairScores.of(pd.DataFrame(rows, columns=["user", "item", "score"]))
