"""The smaller parts of the benchmark of selective guidance: collapse, planted worlds, overhead, recorded scores."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recloop.agents.pair_scorer import PairScorer, ScorePairs
from recloop.agents.pair_scorer.config import Coverage
from recloop.agents.pair_scorer.planted import Planted
from recloop.recsys.data import leave_last_out
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.groups import ColdConfig, HeadConfig, cold, head
from recloop.recsys.evaluation import auc, evaluate, paired
from recloop.recsys.guidance import Guided, GuidedConfig
from recloop.recsys.guidance.figures import draw_gates, draw_openings
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models import Circumstances
from selective_cells import MODELS, asked, offline_scores, split_of

COLD, HEAD = ColdConfig(value=0.3), HeadConfig(by="share", value=0.5)
"""Of the planted worlds: the 30 % shortest histories; the items that hold half of all interactions."""
USERS, WORLD = 1000, 1
PLANTED = {"pairs": 50, "weight": 1.0, "cold": COLD, "head": HEAD}
GATES = ("closed", "open", "paper", "held_out")


def collapse(shared: Path, out: Path, figures: Path) -> None:
    """BPR on ml-100k with the scores of `offline`, forty epochs without stopping: the mean weight of the pairs."""
    split, scores = split_of("ml-100k", shared), offline_scores("ml-100k", shared, out)
    chooses, truth = apart(split.valid, 0.5, 0)
    logs = {}
    for gate in ("paper", "normalised", "held_out"):
        settings = {"epochs": 40, "patience": 40, "evaluate_every": 40}
        guided = Guided(GuidedConfig(model="bpr", settings=settings, gate=gate), scores)
        guided.fit(split.train, chooses, Circumstances(threads=1), truth if gate == "held_out" else None)
        logs[gate] = guided.gate_log()
        means = logs[gate]["mean"]
        shown = ", ".join(f"{means.iloc[at]:.3f}" for at in (0, 4, 9, 19, 39))
        print(f"| {gate} | {shown} | {logs[gate]['agreement'].iloc[-1]:.3f} |", flush=True)
    print(draw_gates(logs, figures / "selective-collapse.png"))


def bazaar(figures: Path, seeds: int, until: float) -> None:
    """BPR on a planted world; rows held against `open` and `closed`, pairs of users and seeds."""
    truth = world(WORLD, users=USERS)
    split = leave_last_out(truth.dataset)
    rare, popular = cold(split.train, COLD), head(split.train, HEAD)
    plants = {
        "right for cold users and tail items": Planted(truth, split.train, rare, ~popular),
        "wrong everywhere": Planted(truth, split.train, np.zeros_like(rare), np.zeros_like(popular)),
    }
    agent = PairScorer(
        ScorePairs(coverage=Coverage(source="popularity", candidates=60, pool=400), list_size=60, draws=1)
    )
    chooses, fits = apart(split.valid, 0.5, 0)
    opened = {}
    for name, planted in plants.items():
        scores = asked(agent, split.train, planted.chat())
        values: dict[str, list[pd.DataFrame]] = {gate: [] for gate in GATES}
        areas, means = [], []
        for gate in GATES:
            for seed in range(seeds):
                if time.perf_counter() > until:
                    raise SystemExit("out of time; give --minutes")
                guided = Guided(GuidedConfig(model="bpr", gate=gate, **PLANTED), scores)  # type: ignore[arg-type]
                guided.fit(split.train, chooses, Circumstances(seed, threads=1), fits if gate == "held_out" else None)
                ranked = evaluate(
                    guided, split, metrics=["ndcg@10"], item_groups={"head items": popular, "tail items": ~popular},
                    user_groups={"cold users": rare, "head users": ~rare},
                )  # fmt: skip
                values[gate].append(pd.DataFrame({g: ranked.values("ndcg@10", g) for g in ranked.groups}))
                if gate == "held_out":
                    assert guided.gate is not None
                    alpha = guided.gate(torch.arange(len(scores))).detach().numpy()
                    planted_right = planted.right(scores.user, scores.item)
                    areas.append(auc(planted_right, alpha) if planted_right.any() else np.nan)
                    means.append(guided.gate_log()["mean"].iloc[-1])
                    opened[name] = guided
        print(f"\n### A planted LLM, {name}\n")
        print(
            f"AUC of the gate against the planted reliability {np.mean(areas):.3f}; mean weight {np.mean(means):.3f}.\n"
        )
        print("| group | " + " | ".join(GATES) + " | held_out - closed | held_out - open |")
        print("|---|" + "--:|" * len(GATES) + "---|---|")
        for group in values["closed"][0].columns:
            table = {gate: np.stack([v[group].to_numpy() for v in values[gate]]) for gate in GATES}
            cells = [f"{np.nanmean(table[gate]):.4f}" for gate in GATES]
            cells += [shown(table["held_out"], table[other]) for other in ("closed", "open")]
            print(f"| {group} | " + " | ".join(cells) + " |", flush=True)
    print(draw_openings(opened, split.train, figures / "selective-opens.png"))


def overhead(shared: Path, out: Path, models: list[str]) -> None:
    """Seconds of an epoch on ml-100k, K = 10: least of five, the rows in turn so that a busy neighbour meets all."""
    split, scores = split_of("ml-100k", shared), offline_scores("ml-100k", shared, out)
    _, truth = apart(split.valid, 0.5, 0)
    print("| model | without, s | open, s | held_out, s | open | held_out |\n|---|--:|--:|--:|--:|--:|")
    for name in [*models, *(["lightgcn"] if "lightgcn" not in models else [])]:
        best: dict[str, float] = {}
        for _ in range(2):
            for gate in ("closed", "open", "held_out"):
                settings = MODELS.get(name, {}) | {"epochs": 3, "evaluate_every": 3, "patience": 10}
                guided = Guided(GuidedConfig(model=name, settings=settings, gate=gate), scores)
                guided.fit(split.train, None, Circumstances(threads=1), truth if gate == "held_out" else None)
                assert guided.log is not None
                best[gate] = min(best.get(gate, np.inf), *(e.seconds for e in guided.log.epochs))
        more = [f"{best[gate] / best['closed'] - 1:+.0%}" for gate in ("open", "held_out")]
        print(f"| {name} | " + " | ".join(f"{best[g]:.3f}" for g in best) + f" | {more[0]} | {more[1]} |", flush=True)


def shown(a: np.ndarray, b: np.ndarray) -> str:
    """Mean of a - b, (seeds, users), with its interval over users and seeds."""
    spread = paired(a, b, np.random.default_rng(0), resample_seeds=True)
    return f"{spread.mean:+.4f} [{spread.low:+.4f}, {spread.high:+.4f}]"
