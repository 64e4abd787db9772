"""Guided training: one term more on the one loop, for every network that takes pairs; nothing more in serving."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.table import load, save

SMALL = {"epochs": 3, "embedding_size": 8, "learning_rate": 0.02, "batch_size": 64}
SETTINGS = {
    "bpr": SMALL,
    "lightgcn": SMALL,
    "sasrec": SMALL | {"batch_size": 16, "blocks": 1, "max_length": 8},
    "gru4rec": SMALL | {"batch_size": 16, "hidden_size": 8, "max_length": 8},
    "bert4rec": SMALL | {"batch_size": 16, "blocks": 1, "max_length": 8},
    "youtubednn": SMALL | {"hidden": (8,), "negatives": 16},
    "fm": SMALL,
    "deepfm": SMALL | {"layers": (8,)},
    "xdeepfm": SMALL,
    "dcn": SMALL,
    "dcnv2": SMALL,
    "autoint": SMALL,
    "din": SMALL | {"layers": (8,), "max_length": 5},
}


@pytest.fixture(scope="module")
def split():
    return leave_last_out(bazaar(seed=2, users=40, items=60, longest=14))


@pytest.fixture(scope="module")
def scores(split):
    """Of each user all items not in train; the later ones high, so that held-out truth exists."""
    rng, rows = np.random.default_rng(0), []
    later = {
        (u, i)
        for side in (split.valid, split.test)
        for u, i in zip(side.user.tolist(), side.item.tolist(), strict=True)
    }
    for user in range(split.train.n_users):
        unseen = np.setdiff1d(np.arange(split.train.n_items), split.train.history(user)).tolist()
        rows += [(user, item, 0.9 if (user, item) in later else 0.8 * rng.random()) for item in unseen]
    return PairScores.of(pd.DataFrame(rows, columns=["user", "item", "score"]))


def guided(name, scores, **changes):
    return Guided(GuidedConfig(model=name, settings=SETTINGS[name], **changes), scores)


def margin(fitted, scores, split):
    """Mean difference of each user's best and worst scored item."""
    x = fitted.score(np.arange(split.train.n_users, dtype=np.int32), split.train)
    first = scores.first(split.train.n_users)
    ends = []
    for user in range(split.train.n_users):
        rows = slice(first[user], first[user + 1])
        best, worst = scores.item[rows][scores.score[rows].argmax()], scores.item[rows][scores.score[rows].argmin()]
        ends.append(x[user, best] - x[user, worst])
    return np.mean(ends)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_llm_prefers_rises_in_every_model(name, split, scores):
    plain, heard = (guided(name, scores, gate=gate, weight=5.0, every=1) for gate in ("closed", "open"))
    for one in (plain, heard):
        one.fit(split.train)
    assert margin(heard, scores, split) > margin(plain, scores, split)
    if name in ("fm", "din"):
        assert heard.predict(split.test, split.train).shape == (len(split.test),)


@pytest.mark.parametrize("name", ["bpr", "lightgcn", "sasrec", "deepfm"])
def test_a_closed_gate_trains_the_model_as_it_is(name, split, scores):
    alone = model(name, **SETTINGS[name])
    alone.fit(split.train, split.valid)
    closed = guided(name, scores, gate="closed")
    closed.fit(split.train, split.valid)
    users = np.arange(split.train.n_users, dtype=np.int32)
    np.testing.assert_array_equal(closed.score(users, split.train), alone.score(users, split.train))


def test_without_scores_the_model_is_trained_as_it_is(split):
    alone, none = model("bpr", **SMALL), Guided(GuidedConfig(model="bpr", settings=SMALL))
    for one in (alone, none):
        one.fit(split.train, split.valid)
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(none.score(users, split.train), alone.score(users, split.train))


def test_scores_that_an_agent_folded_into_the_data_are_heard_and_its_pairs_are_not(split, scores):
    rows = pd.DataFrame({"user": scores.user, "item": scores.item, "score": scores.score, "spread": scores.spread})
    pairs = pd.DataFrame(
        {"user": [0], "preferred": [1], "other": [2], "weight": [1.0], "agent": ["score_pairs"], "record": ["r"]}
    )
    told = split.train.with_(scores=rows.assign(agent="score_pairs", record="r"), pairs=pairs)
    by_data = Guided(GuidedConfig(model="bpr", settings=SMALL, gate="open", weight=5.0))
    by_data.fit(told, split.valid)
    by_hand = guided("bpr", scores, gate="open", weight=5.0)
    by_hand.fit(split.train, split.valid)
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(by_data.score(users, split.train), by_hand.score(users, split.train))
    assert told.fingerprint != told.with_(scores=told.scores.iloc[:0]).fingerprint


@pytest.mark.parametrize("form", ["hinge", "logistic", "pointwise", "distilled"])
@pytest.mark.parametrize("gate", ["held_out", "paper", "normalised", "open"])
def test_every_form_goes_with_every_gate(form, gate, split, scores):
    one = guided("bpr", scores, gate=gate, form=form, weight=1.0)
    one.fit(split.train, split.valid)
    lines = one.gate_log()
    assert len(lines) == 3
    assert lines["mean"].between(0, 1).all()


def test_the_gate_is_fitted_to_the_users_set_apart_and_sees_where_the_llm_is_right(split, scores):
    one = guided("bpr", scores, gate="held_out")
    one.fit(split.train, split.valid)
    lines = one.gate_log()
    assert list(lines.columns[-6:]) == ["cold", "tail", "history", "popularity", "uncertainty", "spread"]
    assert (lines["agreement"] > 0.99).all()
    assert lines["mean"].iloc[-1] > 0.9
    assert one.guidance.truth.users == 20


def test_nothing_to_be_fitted_to_is_an_error_that_says_what_to_do(split, scores):
    few = scores.rows(~np.isin(scores.item, split.valid.item))
    with pytest.raises(DataError, match="score more candidates"):
        guided("bpr", few, gate="held_out").fit(split.train, split.valid)
    with pytest.raises(ConfigError, match="validation side"):
        guided("bpr", scores, gate="held_out").fit(split.train)


def test_a_model_without_pairs_is_refused():
    with pytest.raises(ConfigError, match="takes no preference pairs"):
        Guided(GuidedConfig(model="itemknn"))


def test_dropout_tells_uncertainty_only_where_something_is_dropped(split, scores):
    with pytest.raises(ConfigError, match="drops nothing"):
        guided("bpr", scores, uncertainty="dropout").fit(split.train, split.valid)
    one = guided("sasrec", scores, uncertainty="dropout", gate="paper")
    one.fit(split.train, split.valid)
    assert one.gate.inputs[:, 2].max() > 0


def test_the_same_seed_gives_the_same_model_and_a_cut_training_goes_on(split, scores, tmp_path):
    whole = guided("bpr", scores, gate="paper", weight=1.0)
    whole.fit(split.train, split.valid, FitContext(seed=3))
    short = Guided(GuidedConfig(model="bpr", settings=SMALL | {"epochs": 2}, gate="paper", weight=1.0), scores)
    again = guided("bpr", scores, gate="paper", weight=1.0)
    # The number of epochs is no part of what a training is, so the second goes on where the first one stops.
    short.fit(split.train, split.valid, FitContext(seed=3))
    again.fit(split.train, split.valid, FitContext(seed=3))
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(whole.score(users, split.train), again.score(users, split.train))
    pd.testing.assert_frame_equal(whole.gate_log().iloc[:2], short.gate_log())


def test_it_is_saved_and_serves_without_gate_and_scores(split, scores, tmp_path):
    one = guided("deepfm", scores, gate="held_out")
    one.fit(split.train, split.valid)
    assert not any("gate" in name for name in one.state())
    save(one, tmp_path)
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(load(tmp_path).score(users, split.train), one.score(users, split.train))
