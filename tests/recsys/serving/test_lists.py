"""Lists are exact: the same as sorting all scores, in any blocks, with ties in one order and nothing seen in them."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.serving import lists

from tests.recsys.serving.worlds import Given, shop


def brute(scores, history, k, filter_seen):
    """The k best of each row by sorting: higher score first, then the lower code."""
    found = np.full((len(scores), k), -1)
    for user, row in enumerate(scores):
        seen = set(history.history(user).tolist()) if filter_seen else set()
        left = [item for item in range(len(row)) if item not in seen and row[item] > -np.inf]
        best = sorted(left, key=lambda item: (-row[item], item))[:k]
        found[user, : len(best)] = best
    return found


@settings(max_examples=40, deadline=None)
@given(
    levels=st.integers(1, 6), k=st.integers(1, 15), block=st.integers(1, 9), seen=st.booleans(), seed=st.integers(0, 99)
)
def test_lists_are_what_sorting_all_scores_gives(levels, k, block, seen, seed):
    data = shop()
    # Few levels of score, so that most lists are cut through ties.
    table = np.random.default_rng(seed).integers(0, levels, (data.n_users, data.n_items)).astype(float)
    found = [items for _, items, _ in lists(Given(table), data, None, k, filter_seen=seen, block=block)]
    np.testing.assert_array_equal(np.concatenate(found), brute(table, data, k, seen))


def test_scores_stand_beside_their_items_and_a_short_list_is_filled_up():
    data = shop(users=2, items=4, each=3)
    table = np.array([[4, 3, 2, 1]] * data.n_users, float)
    [(users, items, scores)] = lists(Given(table), data, [1], 3)
    [unseen] = set(range(4)) - set(data.history(1).tolist())
    assert users.tolist() == [1]
    assert items.tolist() == [[unseen, -1, -1]]
    assert scores[0, 0] == table[1, unseen]
    assert np.isnan(scores[0, 1:]).all()


def test_an_item_scored_minus_infinity_is_never_recommended():
    data = shop()
    table = np.full((data.n_users, data.n_items), -np.inf)
    table[:, 5] = 1
    found = np.concatenate([items for _, items, _ in lists(Given(table), data, None, 2, filter_seen=False)])
    assert (found == [5, -1]).all()


def test_no_more_users_are_scored_together_than_memory_is_meant_for(monkeypatch):
    monkeypatch.setattr(sys.modules["recloop.recsys.serving.lists"], "BLOCK_SCORES", 40)
    data = shop()
    model = Given(np.zeros((data.n_users, data.n_items)))
    list(lists(model, data))
    assert max(model.asked) * data.n_items <= 40
    assert sum(model.asked) == data.n_users


@pytest.mark.parametrize(
    ("users", "k", "kind", "said"),
    [([0], 0, ConfigError, "at least one"), ([99], 3, DataError, "99"), ([1, 1], 3, DataError, "twice")],
)
def test_what_cannot_be_listed_is_refused(users, k, kind, said):
    data = shop()
    with pytest.raises(kind, match=said):
        list(lists(Given(np.zeros((data.n_users, data.n_items))), data, users, k))


def test_a_model_that_scores_nan_is_refused_by_name():
    data = shop()
    with pytest.raises(DataError, match="'given' scored items NaN"):
        list(lists(Given(np.full((data.n_users, data.n_items), np.nan)), data))
