"""The smaller parts of the benchmark of selective guidance: collapse, planted worlds, overhead, recorded scores."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from gate_figures import draw_gates, draw_openings, openings
from planted_scorer import Planted
from recloop.agents.pair_scorer import PairScorer, ScorePairs
from recloop.agents.pair_scorer.config import Coverage
from recloop.recsys.data import Split, leave_last_out
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.groups import ColdConfig, HeadConfig, cold, head
from recloop.recsys.evaluation import auc, evaluate, paired
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores, read_scores, write_scores
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models import FitContext
from selective_cells import offline_scores, score_pairs, split_of

COLD, HEAD = ColdConfig(value=0.3), HeadConfig(by="share", value=0.5)
"""Of the planted worlds: the 30 % shortest histories; the items that hold half of all interactions."""
USERS, WORLD = 1000, 1
CANDIDATES = 120
"""Of the world's 400 items, for each user."""
SETTINGS = {"learning_rate": 5e-3, "epochs": 120, "evaluate_every": 4, "patience": 4}
PLANTED = {"pairs": 50, "weight": 1.0, "cold": COLD, "head": HEAD}
GATES = ("closed", "open", "held_out")


def collapse(shared: Path, out: Path, figures: Path) -> None:
    """BPR on ml-100k with the scores of `offline`, a hundred epochs without stopping: the mean weight of the pairs.

    The term acts in every step, as in the paper.
    """
    print("| gate | epoch 1 | 5 | 10 | 20 | 40 | 100 | agreement |\n|---|--:|--:|--:|--:|--:|--:|--:|")
    split, scores = split_of("ml-100k", shared), offline_scores("ml-100k", shared, out)
    chooses, truth = apart(split.valid, 0.5, 0)
    logs = {}
    for gate in ("paper", "normalised", "held_out"):
        file = out / f"collapse-{gate}.parquet"
        if not file.exists():
            settings = {"epochs": 100, "patience": 100, "evaluate_every": 100}
            guided = Guided(GuidedConfig(model="bpr", settings=settings, gate=gate, every=1), scores)
            guided.fit(split.train, chooses, FitContext(threads=1), truth if gate == "held_out" else None)
            guided.gate_log().to_parquet(file)
        logs[gate] = pd.read_parquet(file)
        means = " | ".join(f"{logs[gate]['mean'].iloc[at]:.3f}" for at in (0, 4, 9, 19, 39, 99))
        print(f"| {gate} | {means} | {logs[gate]['agreement'].iloc[-1]:.3f} |", flush=True)
    print(draw_gates(logs, figures / "selective-collapse.png"))


def bazaar(out: Path, figures: Path, seeds: int, until: float) -> None:
    """BPR on a planted world; held against `open` and `closed` by users and seeds. Every training is kept."""
    truth = world(WORLD, users=USERS)
    split = leave_last_out(truth.dataset)
    rare, popular = cold(split.train, COLD), head(split.train, HEAD)
    plants = {
        "right for cold users and tail items": Planted(truth, split.train, rare, ~popular),
        "wrong everywhere": Planted(truth, split.train, np.zeros_like(rare), np.zeros_like(popular)),
    }
    opening_points = {}
    for plant, planted in plants.items():
        scores = planted_scores(planted, out / f"bazaar-{plant.split()[0]}.parquet")
        right = planted.right(scores.user, scores.item)
        values: dict[str, list[pd.DataFrame]] = {gate: [] for gate in GATES}
        opened = []
        for seed, gate in itertools.product(range(seeds), GATES):
            file = out / "bazaar" / f"{plant.split()[0]}-{gate}-s{seed}.parquet"
            if not file.exists():
                if time.perf_counter() > until:
                    raise SystemExit("out of time; run the same again")
                planted_training(split, scores, right, gate, seed, file)
            values[gate].append(pd.read_parquet(file))
            if gate == "held_out":
                opened.append(json.loads(file.with_suffix(".json").read_text()))
        if right.any():
            table, users, items = opened[0]["opens"]
            opening_points[plant] = (np.array(table, np.float64), users, items)
        area, mean = (np.mean([facts[fact] for facts in opened]) for fact in ("auc", "mean"))
        print(f"\n### A planted LLM, {plant}\n")
        print(f"AUC of the gate against the planted reliability {area:.3f}; mean weight of the pairs {mean:.3f}.\n")
        print("| group | " + " | ".join(GATES) + " | held_out - closed | held_out - open |")
        print("|---|" + "--:|" * len(GATES) + "---|---|")
        for group in values["closed"][0].columns:
            table = {gate: np.stack([v[group].to_numpy() for v in values[gate]]) for gate in GATES}
            cells = [f"{np.nanmean(table[gate]):.4f}" for gate in GATES]
            cells += [difference_text(table["held_out"], table[other]) for other in ("closed", "open")]
            print(f"| {group} | " + " | ".join(cells) + " |", flush=True)
    print(draw_openings(opening_points, figures / "selective-opens.png"))


def planted_scores(planted: Planted, file: Path) -> PairScores:
    """What the scripted model says of `CANDIDATES` unseen items of each user, from disk where it was asked before."""
    train = planted.train
    if not file.exists():
        coverage = Coverage(source="popularity", candidates=CANDIDATES, pool=train.n_items)
        agent = PairScorer(ScorePairs(coverage=coverage, list_size=CANDIDATES, draws=1))
        write_scores(score_pairs(agent, train, planted.chat()), train, file)
    return read_scores(file, train)


def planted_training(split: Split, scores: PairScores, right: np.ndarray, gate: str, seed: int, file: Path) -> None:
    """Trains one and keeps each user's NDCG@10 by group; of `held_out` also how well the gate tells what is right."""
    rare, popular = cold(split.train, COLD), head(split.train, HEAD)
    chooses, fits = apart(split.valid, 0.5, 0)
    config = GuidedConfig(model="bpr", settings=SETTINGS, gate=gate, **PLANTED)  # type: ignore[arg-type]
    guided = Guided(config, scores)
    guided.fit(split.train, chooses, FitContext(seed, threads=1), fits if gate == "held_out" else None)
    groups = {"cold users": rare, "head users": ~rare}
    ranked = evaluate(
        guided, split, metrics=["ndcg@10"], item_groups={"head items": popular, "tail items": ~popular},
        user_groups=groups,
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    if gate == "held_out":
        assert guided.gate is not None
        alpha = guided.gate.every().detach().numpy()
        table, users, items = openings(guided, split.train)
        facts = {
            "auc": float(auc(right, alpha)) if right.any() else float("nan"),
            "mean": float(guided.gate_log()["mean"].iloc[-1]),
            "opens": [table.tolist(), users, items],
        }
        file.with_suffix(".json").write_text(json.dumps(facts))
    pd.DataFrame({g: ranked.values("ndcg@10", g) for g in ranked.groups}).to_parquet(file)


def difference_text(a: np.ndarray, b: np.ndarray) -> str:
    """Mean of a - b, (seeds, users), with its interval over users and seeds."""
    spread = paired(a, b, np.random.default_rng(0), resample_seeds=True)
    return f"{spread.mean:+.4f} [{spread.low:+.4f}, {spread.high:+.4f}]"
