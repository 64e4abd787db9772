"""What is told of a gate and of the LLM: agreement by decile, where the gate opens, and the figures of both."""

import numpy as np
import pandas as pd
import pytest
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores
from recloop.recsys.guidance.truth import truth_pairs

from lab.gate_figures import draw_gates, draw_openings, draw_reliability, openings
from lab.reliability import by_user, reliability

SPLIT = leave_last_out(bazaar(seed=2, users=120, items=60, longest=28))


@pytest.fixture(scope="module")
def scores():
    """Right about users with short histories, wrong about the others."""
    rng, rows = np.random.default_rng(0), []
    short = SPLIT.train.user_counts <= np.median(SPLIT.train.user_counts)
    for user in range(120):
        taken = set(SPLIT.valid.history(user).tolist())
        unseen = np.setdiff1d(np.arange(60), SPLIT.train.history(user)).tolist()
        rows += [(user, i, 0.3 + 0.4 * rng.random() + (0.3 if short[user] else -0.3) * (i in taken)) for i in unseen]
    table = pd.DataFrame(rows, columns=["user", "item", "score"])
    return PairScores.of(table.assign(score=table["score"].clip(0, 1)))


def test_agreement_by_decile_tells_for_whom_the_llm_is_right(scores):
    pairs = truth_pairs(scores, SPLIT.train, SPLIT.valid)
    table = reliability(pairs, scores, SPLIT.train, draws=100)
    by_length = table[table["by"] == "history length"]
    assert by_length["lowest"].min() < by_length["highest"].max()
    middle = np.median(SPLIT.train.user_counts)
    assert (by_length["agreement"][by_length["highest"] <= middle] > 0.9).all()
    wrong = by_length["agreement"][by_length["lowest"] > middle]
    assert len(wrong) > 1
    assert (wrong < 0.2).all()
    assert by_length["users"].sum() == pairs.users
    assert table[table["by"] == "popularity"]["pairs"].sum() == len(pairs)
    [whole] = table[table["by"] == "all"].to_dict("records")
    assert abs(whole["agreement"] - by_user(pairs).mean()) < 1e-12
    assert abs(whole["agreement"] - pairs.agreement()) < 1e-5


def test_figures_are_drawn_of_what_a_training_left(scores, tmp_path):
    settings = {"epochs": 4, "embedding_size": 8, "batch_size": 64}
    trained = {}
    for gate in ("paper", "held_out"):
        config = GuidedConfig(model="bpr", settings=settings, gate=gate, pairs=5)
        trained[gate] = Guided(config, scores)
        trained[gate].fit(SPLIT.train, SPLIT.valid)
    table, users, items = openings(trained["held_out"], SPLIT.train)
    assert table.shape == (len(users), len(items))
    # Rows are from short to long histories; the LLM is right about the short ones.
    assert np.nanmean(table[0]) > 0.5
    assert np.nanmean(table[-1]) < 0.1
    lines = reliability(truth_pairs(scores, SPLIT.train, SPLIT.valid), scores, SPLIT.train, draws=50)
    drawn = [
        draw_gates({name: one.gate_log() for name, one in trained.items()}, tmp_path / "gates.png"),
        draw_openings({"held_out": openings(trained["held_out"], SPLIT.train)}, tmp_path / "opens.png"),
        draw_reliability({"planted": lines}, tmp_path / "reliability.png"),
    ]
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in drawn)
