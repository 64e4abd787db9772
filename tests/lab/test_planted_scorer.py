"""A planted LLM, right for cold users and tail items and wrong elsewhere: the gate finds out, and hearing it pays."""

import numpy as np
import pytest
import torch
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.groups import ColdConfig, HeadConfig, cold, head
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.evaluation import auc, evaluate, paired
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models import FitContext

from lab.planted_scorer import Planted

COLD, HEAD = ColdConfig(value=0.3), HeadConfig(by="share", value=0.5)


class Shop:
    def __init__(self, users, anywhere=True, candidates=60):
        truth = world(1, users=users)
        self.split = leave_last_out(truth.dataset)
        train = self.split.train
        self.rare, self.popular = cold(train, COLD), head(train, HEAD)
        self.planted = Planted(truth, train, self.rare & anywhere, ~self.popular & anywhere)
        rng, rows = np.random.default_rng(0), []
        for user in range(users):
            unseen = np.setdiff1d(np.arange(train.n_items), train.history(user))
            rows += [
                (user, i, self.planted.score(user, i)) for i in rng.choice(unseen, candidates, replace=False).tolist()
            ]
        user, item, score = (np.array(column) for column in zip(*rows, strict=True))
        order = np.lexsort((item, user))
        user, item = user[order].astype(np.int32), item[order].astype(np.int32)
        self.scores = PairScores(user, item, score[order].astype(np.float32), np.full(len(order), np.nan, np.float32))

    def trained(self, gate, seed=0, **settings):
        config = GuidedConfig(model="bpr", settings=settings, gate=gate, weight=1.0, pairs=50, cold=COLD, head=HEAD)
        chooses, truth = apart(self.split.valid, 0.5, 0)
        guided = Guided(config, self.scores)
        guided.fit(self.split.train, chooses, FitContext(seed), truth if gate == "held_out" else None)
        return guided

    def values(self, guided):
        groups = {"head": ~self.rare}
        ranked = evaluate(guided, self.split, metrics=["ndcg@10"], user_groups=groups)
        return ranked.values("ndcg@10"), ranked.values("ndcg@10", "head")


def test_the_gate_opens_where_the_planted_llm_is_right():
    shop = Shop(300)
    guided = shop.trained("held_out", epochs=2)
    with torch.no_grad():
        alpha = guided.gate(torch.arange(len(shop.scores))).numpy()
    assert auc(shop.planted.right(shop.scores.user, shop.scores.item), alpha) >= 0.9


def test_the_gate_closes_on_an_llm_that_is_wrong_everywhere_and_costs_nothing():
    shop = Shop(150, anywhere=False)
    heard, alone = shop.trained("held_out", epochs=5), shop.trained("closed", epochs=5)
    assert heard.gate_log()["mean"].max() < 0.01
    users = np.arange(150, dtype=np.int32)
    np.testing.assert_allclose(heard.score(users, shop.split.train), alone.score(users, shop.split.train), atol=1e-3)


def test_the_papers_gate_closes_by_itself_however_good_the_llm_is():
    shop = Shop(150)
    means = shop.trained("paper", epochs=15, patience=15).gate_log()["mean"]
    assert means.iloc[0] == pytest.approx(0.5)
    assert (np.diff(means) < 0).all()


@pytest.mark.slow
def test_hearing_it_there_beats_hearing_it_always_and_never_and_costs_head_users_nothing():
    shop = Shop(1000, candidates=120)
    settings = {"learning_rate": 5e-3, "epochs": 120, "evaluate_every": 4, "patience": 4}
    values = {
        gate: [shop.values(shop.trained(gate, seed, **settings)) for seed in range(3)]
        for gate in ("closed", "open", "held_out")
    }
    overall, on_head = ({g: np.stack([v[part] for v in values[g]]) for g in values} for part in (0, 1))
    rng = np.random.default_rng(0)
    assert paired(overall["held_out"], overall["closed"], rng, resample_seeds=True).low > 0
    assert paired(overall["held_out"], overall["open"], rng, resample_seeds=True).low > 0
    assert paired(on_head["held_out"], on_head["closed"], rng, resample_seeds=True).high > 0
