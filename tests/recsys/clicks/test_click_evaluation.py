"""AUC, logloss and AUC within users with their intervals, and between models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.clicks import judge_clicks
from recloop.recsys.clicks.evaluation import resampled_auc
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.evaluation import auc, logloss

drawn = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30)


@given(drawn)
@settings(max_examples=100, deadline=None)
def test_a_row_of_weight_3_counts_as_three_rows(rows):
    label, score, weight = (np.array(column, float) for column in zip(*rows, strict=True))
    times = weight.astype(int)
    found = resampled_auc(label, score, weight[None])[0]
    np.testing.assert_allclose(found, auc(np.repeat(label, times), np.repeat(score, times)), equal_nan=True)


def world(users=40, each=30, seed=0):
    """Rows of users who like or dislike nearly everything, so that the rows of a user are alike."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    odds = rng.normal(0, 2, users)[user] + rng.normal(0, 0.5, len(user))
    value = np.where(odds + rng.logistic(size=len(user)) > 0, 5.0, 1.0)
    table = pd.DataFrame({"user_id": user, "item_id": np.arange(len(user)) % 50, "value": value})
    good = 1 / (1 + np.exp(-odds))
    return Dataset.of("alike", table), good, np.clip(good + rng.normal(0, 0.3, len(user)), 0.01, 0.99)


def row(table, model, metric, against=""):
    chosen = table[(table["model"] == model) & (table["metric"] == metric) & (table["against"] == against)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_figures_are_those_of_the_metrics_and_lie_in_their_intervals():
    data, good, _ = world()
    table = judge_clicks(data, {"good": good}, draws=200)
    truth = data.value >= 4
    for metric, value in (("auc", auc(truth, good)), ("logloss", logloss(truth, good))):
        shown = row(table, "good", metric)
        assert shown["mean"] == pytest.approx(value)
        assert shown["low"] < shown["mean"] < shown["high"]
        assert shown["n"] == len(data)
        assert np.isnan(shown["p"])


def test_the_better_model_is_told_from_the_worse_and_from_nothing_at_all():
    data, good, worse = world()
    table = judge_clicks(data, {"good": good, "worse": worse, "same": good}, against=["worse", "good"], draws=200)
    better = row(table, "good", "auc", "worse")
    assert 0 < better["low"] < better["high"]
    assert better["p"] < 0.05
    assert row(table, "good", "logloss", "worse")["high"] < 0
    same = row(table, "same", "auc", "good")
    assert (same["mean"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)


def test_seeds_are_averaged():
    data, good, worse = world()
    table = judge_clicks(data, {"both": np.stack([good, worse])}, draws=20)
    truth = data.value >= 4
    assert row(table, "both", "auc")["mean"] == pytest.approx((auc(truth, good) + auc(truth, worse)) / 2)


def test_intervals_over_users_are_wider_where_the_rows_of_a_user_are_alike():
    data, good, _ = world()
    width = {}
    for unit in ("user", "row"):
        shown = row(judge_clicks(data, {"good": good}, unit=unit, draws=300), "good", "auc")
        width[unit] = shown["high"] - shown["low"]
    assert width["user"] > 1.5 * width["row"]


def test_the_area_within_users_is_of_those_who_did_both():
    table = pd.DataFrame({"user_id": [0, 0, 0, 1, 1, 2, 2], "item_id": range(7), "value": [5.0, 1, 1, 5, 5, 1, 5]})
    shown = row(judge_clicks(Dataset.of("few", table), {"m": [0.5, 0.4, 0.6, 1, 0, 0.2, 0.9]}), "m", "user_auc")
    assert shown["mean"] == pytest.approx((0.5 + 1.0) / 2)
    assert shown["n"] == 2


def test_the_same_seed_gives_the_same_intervals():
    data, good, _ = world()
    one, two = (judge_clicks(data, {"good": good}, draws=50, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_what_cannot_be_judged_is_refused():
    data, good, _ = world()
    with pytest.raises(ConfigError, match="no model here"):
        judge_clicks(data, {"good": good}, against=["fm"])
    with pytest.raises(DataError, match=r"give \(n,\) or \(seeds, n\)"):
        judge_clicks(data, {"good": good[:-1]})
    with pytest.raises(DataError, match="one side of threshold"):
        judge_clicks(data.rows(data.value >= 4), {"good": good[data.value >= 4]})
