"""One training of the selective-guidance tables: data, scores, the rows, what is measured, what is kept on disk."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from gate_figures import openings
from recloop.agents.agent import Tools
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.types import Chat
from recloop.agents.memory import ListMemory, tfidf_svd
from recloop.agents.pair_scorer import PairScorer, ScorePairs, pair_scores
from recloop.agents.pair_scorer.config import Coverage
from recloop.recsys.data import Dataset, Split, leave_last_out, read_movielens, together
from recloop.recsys.data.filters import at_least, k_core
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation import evaluate
from recloop.recsys.guidance import (
    Guided,
    GuidedConfig,
    PairScores,
    popularity_scores,
    random_scores,
    read_scores,
    shuffled_scores,
    write_scores,
)
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models import FitContext
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.runner import run_batch

DATA = ("ml-100k", "ml-latest-small")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CANDIDATES = Coverage(source="mixed", candidates=40, pool=300)
NEGATIVES = 4
"""Unseen items beside each held-out one, for logloss."""
CLICKS = {
    "labels": "choices", "negatives": 1, "batch_size": 4096, "learning_rate": 5e-3, "valid_users": 300,
    "epochs": 6, "patience": 6,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "bpr": {"epochs": 24, "patience": 2, "evaluate_every": 3, "learning_rate": 1e-2},
    "sasrec": {
        "epochs": 6,
        "patience": 2,
        "evaluate_every": 2,
        "learning_rate": 3e-3,
        "batch_size": 128,
        "loss": "sampled_softmax",
        "negatives": 128,
    },
    "deepfm": CLICKS,
    "xdeepfm": CLICKS | {"embedding_size": 8},
    "autoint": CLICKS | {"embedding_size": 8, "head_size": 4},
    "dcn": CLICKS,
    "dcnv2": CLICKS,
    "din": CLICKS | {"max_length": 10},
}
"""What keeps all trainings within an hour of two cores: large steps and few epochs, the same for every row."""
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("told", {"gate": "closed"}),
    "global": ("told", {"gate": "open", "pairs": None}),
    "point-wise": ("told", {"gate": "open", "form": "pointwise"}),
    "paper": ("told", {"gate": "paper"}),
    "held_out": ("told", {"gate": "held_out"}),
    "random": ("random", {"gate": "open", "pairs": None}),
    "shuffled": ("shuffled", {"gate": "held_out"}),
    "soft labels": ("told", {"gate": "open", "form": "distilled"}),
    "popularity": ("popularity", {"gate": "open", "pairs": None}),
    "normalised": ("told", {"gate": "normalised"}),
    "open": ("told", {"gate": "open"}),
}
"""Rows by name: which scores, and what differs from the settings of all. `random` is `global` with other scores,
`shuffled` is `held_out` with other scores: each is the control of that row."""
TABLE = ("none", "global", "point-wise", "paper", "held_out", "random", "shuffled")


@dataclass(frozen=True)
class Cell:
    """One training."""

    data: str
    model: str
    row: str
    seed: int
    weight: float

    @property
    def stem(self) -> str:
        return f"{self.data}-{self.model}-{self.row.replace(' ', '_')}-s{self.seed}-w{self.weight:g}"


@lru_cache(maxsize=2)
def split_of(name: str, folder: Path) -> Split:
    """ml-100k: every rating a choice, sides as in `loo/`. ml-latest-small: ratings from 4 up, 5-core, last ones out."""
    if name == "ml-100k":
        sides = (folder / name / "loo" / f"{side}.tsv" for side in ("valid", "test"))
        return given(read_movielens(folder / name), *sides)
    return leave_last_out(k_core(at_least(read_movielens(folder / name / f"{name}.zip"), 4), 5, 5))


def score_pairs(agent: PairScorer, train: Dataset, chat: Chat) -> PairScores:
    """What a chat says of every task."""
    memory = ListMemory(tfidf_svd(list(item_texts(train).values()), size=8))
    with tempfile.TemporaryDirectory() as folder:
        run_batch(agent, train, lambda task: Tools(chat, memory), folder, seed=agent.seed)
        return pair_scores(read_records(folder))


def offline_scores(name: str, folder: Path, out: Path) -> PairScores:
    """The table of `offline`, from disk where it was made before."""
    train, path = split_of(name, folder).train, out / f"{name}-offline.parquet"
    if not path.exists():
        agent = PairScorer(ScorePairs(coverage=CANDIDATES, draws=1))
        write_scores(score_pairs(agent, train, offline_chat(list(item_texts(train).values()))), train, path)
    return read_scores(path, train)


def controlled(kind: str, scores: PairScores, train: Dataset, seed: int) -> PairScores:
    """The scores told, or a control of them, drawn anew for each training seed."""
    rng = np.random.default_rng([seed, 9])
    if kind == "popularity":
        return popularity_scores(scores, train)
    return {
        "told": lambda: scores,
        "random": lambda: random_scores(scores, rng),
        "shuffled": lambda: shuffled_scores(scores, rng),
    }[kind]()


def train_cell(cell: Cell, folder: Path, out: Path, tuned: dict[str, Any] | None = None) -> None:
    """Trains, judges and keeps one cell, if it is not there yet: a Parquet file of users and a JSON file of facts."""
    facts_file = out / "cells" / f"{cell.stem}.json"
    if facts_file.exists():
        return
    began = time.process_time()
    split = split_of(cell.data, folder)
    kind, changes = ROWS[cell.row]
    scores = controlled(kind, offline_scores(cell.data, folder, out), split.train, cell.seed)
    settings = MODELS.get(cell.model, {}) | (tuned or {})
    guided = Guided(GuidedConfig(model=cell.model, settings=settings, weight=cell.weight, **changes), scores)
    chooses, truth = apart(split.valid, guided.config.gate_users, 0)
    fitted = changes["gate"] == "held_out"
    guided.fit(split.train, chooses, FitContext(cell.seed, threads=1), truth if fitted else None)
    trained = time.process_time()
    users = user_values(guided, split, chooses)
    facts = {
        "train_cpu": trained - began,
        "judge_cpu": time.process_time() - trained,
        "epoch_seconds": float(np.median([e.seconds for e in guided.log.epochs])),
        "best_epoch": guided.log.best_epoch,
        "epochs": len(guided.log.epochs),
        "valid": float(np.nanmax([e.validation for e in guided.log.epochs])),
        "gate": json.loads(guided.gate_log().to_json(orient="records")),
        "opens": [part.tolist() if isinstance(part, np.ndarray) else part for part in openings(guided, split.train)]
        if fitted
        else None,
        "settings": settings,
    }
    facts_file.parent.mkdir(parents=True, exist_ok=True)
    users.to_parquet(facts_file.with_suffix(".parquet"), index=False)
    facts_file.write_text(json.dumps(facts, indent=1) + "\n")


def user_values(guided: Guided, split: Split, chooses: Dataset) -> pd.DataFrame:
    """One row a test user: NDCG@10 and AUC of the full ranking (seen items masked), logloss of the held-out item and
    `NEGATIVES` unseen ones by chances that are calibrated on the validation users who chose the epoch."""
    known = together(split.train, split.valid)
    tested = np.flatnonzero(split.test.user_counts).astype(np.int32)
    scored = _Kept(guided.score(tested, known), tested)
    ranked = evaluate(scored, split, metrics=["ndcg@10"], users=tested).values("ndcg@10")
    item = np.array([split.test.history(user)[-1] for user in tested])
    x = scored.scores.astype(np.float64)
    own = x[np.arange(len(tested)), item]
    open_ = np.ones(x.shape, bool)
    for row, user in enumerate(tested):
        open_[row, known.history(user)] = False
    open_[np.arange(len(tested)), item] = False
    below = ((x < own[:, None]) & open_).sum(1) + 0.5 * ((x == own[:, None]) & open_).sum(1)
    slope, shift = calibrated(guided, split, chooses)
    rng = np.random.default_rng([3, split.train.n_items])
    chances = [
        slope * np.r_[own[r], x[r, rng.choice(np.flatnonzero(open_[r]), NEGATIVES, replace=False)]] + shift
        for r in range(len(tested))
    ]
    odds = np.stack(chances)
    losses = np.logaddexp(0, np.where(np.arange(1 + NEGATIVES) == 0, -odds, odds)).mean(1)
    return pd.DataFrame({"user": tested, "item": item, "ndcg": ranked, "auc": below / open_.sum(1), "logloss": losses})


def calibrated(guided: Guided, split: Split, chooses: Dataset) -> tuple[float, float]:
    """Slope and shift (Platt) from scores to log-odds, on validation rows and as many unseen items as the test has."""
    from sklearn.linear_model import LogisticRegression

    rng, users, items, labels = np.random.default_rng(4), [], [], []
    for user, item in zip(chooses.user.tolist(), chooses.item.tolist(), strict=True):
        free = np.setdiff1d(np.arange(split.train.n_items), np.r_[split.train.history(user), item])
        users += [user] * (1 + NEGATIVES)
        items += [item, *rng.choice(free, NEGATIVES, replace=False).tolist()]
        labels += [1] + [0] * NEGATIVES
    base = guided.base
    with torch.no_grad():
        codes, place = np.unique(users, return_inverse=True)
        score_pairs = (torch.as_tensor(codes), torch.as_tensor(place), torch.tensor(items))
        x = base.pair_scorer(base.network.eval(), split.train)(*score_pairs).numpy()
    fitted = LogisticRegression(C=1e6).fit(x[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


@dataclass(frozen=True)
class _Kept:
    """Scores that were computed once, as evaluation wants them."""

    scores: np.ndarray
    users: np.ndarray
    name: str = "kept"

    def score(self, users: np.ndarray, history: Dataset) -> np.ndarray:
        return self.scores[np.searchsorted(self.users, users)]
