"""The table of scores: how it is read, which pairs it gives, and the controls that keep its form and lose its sense."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.errors import DataError
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.guidance import (
    PairScores,
    popularity_scores,
    random_scores,
    read_scores,
    shuffled_scores,
    write_scores,
)
from recloop.recsys.guidance.pairs import widest_pairs


def table(rows):
    return PairScores.of(pd.DataFrame(rows, columns=["user", "item", "score"]))


def some(users=5, each=6, seed=0):
    rng = np.random.default_rng(seed)
    return table([(u, i, rng.random()) for u in range(users) for i in rng.choice(30, each, replace=False)])


def test_a_pair_scored_twice_counts_with_its_mean():
    scores = table([(1, 2, 0.2), (0, 9, 1.0), (1, 2, 0.6)])
    assert scores.user.tolist() == [0, 1]
    np.testing.assert_allclose(scores.score, [1.0, 0.4], rtol=1e-6)
    assert np.isnan(scores.spread).all()


def test_a_score_outside_the_range_is_refused():
    with pytest.raises(DataError, match="row 1 has score 61"):
        table([(0, 0, 0.5), (0, 1, 61)])


def test_a_table_read_back_is_the_same(tmp_path):
    data, scores = bazaar(users=5, items=60, longest=14), some()
    write_scores(scores, data, tmp_path / "scores.parquet")
    again = read_scores(tmp_path / "scores.parquet", data)
    for column in ("user", "item", "score"):
        np.testing.assert_array_equal(getattr(again, column), getattr(scores, column))


def test_a_file_of_other_data_is_refused(tmp_path):
    pd.DataFrame({"user_id": ["x"], "item_id": ["y"], "score": [0.1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="none of its 1 pairs"):
        read_scores(tmp_path / "other.parquet", bazaar(users=5, items=60, longest=14))


def test_the_widest_gaps_come_first_and_no_more_than_asked():
    pairs = widest_pairs(table([(0, 0, 1.0), (0, 1, 0.125), (0, 2, 0.25), (1, 0, 0.5)]), 2, 2, 0.1)
    assert pairs.better.tolist() == [0, 0]
    assert pairs.worse.tolist() == [1, 2]
    np.testing.assert_allclose(pairs.gap, [0.875, 0.75], rtol=1e-6)


def test_an_item_stands_in_no_more_pairs_than_allowed():
    pairs = widest_pairs(some(1, 20), 1, 8, 0.0, per_item=2)
    assert np.bincount(np.concatenate([pairs.better, pairs.worse])).max() == 2
    assert len(pairs) == 8


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.0, 0.5))
def test_pairs_are_of_one_user_and_as_wide_as_asked(seed, most, least):
    scores = some(4, 7, seed)
    pairs = widest_pairs(scores, 4, most, least)
    users = scores.user[pairs.better]
    assert (users == scores.user[pairs.worse]).all()
    assert (np.diff(users) >= 0).all()
    assert (pairs.gap >= least).all()
    assert (np.bincount(users, minlength=4) <= most).all()
    every = widest_pairs(scores, 4, None, least)
    for user in range(4):
        mine, all_of = pairs.gap[users == user], every.gap[scores.user[every.better] == user]
        np.testing.assert_array_equal(mine, all_of[: len(mine)])


def test_shuffling_deals_each_users_scores_anew_and_random_ones_keep_only_the_distribution():
    scores, rng = some(40, 12), np.random.default_rng(0)
    shuffled, random = shuffled_scores(scores, rng), random_scores(scores, rng)
    for user in range(40):
        mine = scores.user == user
        assert sorted(shuffled.score[mine]) == sorted(scores.score[mine])
    assert abs(np.corrcoef(shuffled.score, scores.score)[0, 1]) < 0.2
    assert abs(np.corrcoef(random.score, scores.score)[0, 1]) < 0.2
    assert set(random.score) <= set(scores.score)


def test_popularity_scores_order_each_users_items_by_popularity():
    data, scores = bazaar(users=5, items=60, longest=14), some()
    popular = popularity_scores(scores, data)
    for user in range(5):
        mine = popular.user == user
        count, score = data.item_counts[popular.item[mine]], popular.score[mine]
        assert (np.diff(score[np.argsort(count, kind="stable")]) >= 0).all()
        assert sorted(score) == sorted(scores.score[mine])
