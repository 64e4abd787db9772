"""The feature table: what has a code, what is unknown, and that nothing is learnt from outside train."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError
from recloop.recsys.clicks import FeatureTable
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.data.feature_table import context_codes


def world():
    """Users 0..3 and items 0..5; user 3 and items 4, 5 have their interactions in the later half only."""
    rows = [(0, 0), (0, 1), (1, 2), (2, 3), (2, 0), (3, 4), (3, 5), (0, 4)]
    table = pd.DataFrame(rows, columns=["user_id", "item_id"])
    items = pd.DataFrame(
        {
            "item_id": range(6),
            "categories": ["a, b", "b", "", "c, a", "d, a", "d"],
            "year": [1990, 1991, -1, 1995, 2005, 1991],
        }
    )
    users = pd.DataFrame({"user_id": range(4), "sex": ["F", "M", "", "X"], "age": [20.0, 30.0, np.nan, 40.0]})
    return Dataset.of("world", table, items, users)


@pytest.fixture
def train():
    data = world()
    return data.rows((data.user < 3) & (data.item < 4))


def column(table, name):
    of_users = [n for n in table.names if n in ("user", "sex", "age")]
    if name in of_users:
        return table.users[:, of_users.index(name)].tolist()
    return table.items[:, [n for n in table.names if n in ("item", "year")].index(name)].tolist()


def test_users_and_items_without_a_train_row_are_unknown(train):
    table = FeatureTable.fitted(train)
    assert column(table, "user") == [1, 2, 3, 0]
    assert column(table, "item") == [1, 2, 3, 4, 0, 0]


def test_values_that_only_other_sides_have_are_unknown(train):
    table = FeatureTable.fitted(train)
    assert column(table, "sex") == [1, 2, 0, 0]
    assert column(table, "age") == [1, 2, 0, 0]
    assert column(table, "year") == [1, 2, 0, 3, 0, 2]
    (categories,) = table.lists
    assert [[c for c in row if c >= 0] for row in categories.tolist()] == [[1, 2], [2], [0], [3, 1], [1], [0]]


def test_whatever_the_other_sides_hold_the_codes_of_train_are_the_same(train):
    table = FeatureTable.fitted(train)
    assert table.sizes == (4, 3, 3, 5, 4, 4)
    late_items, late_users = train.item_counts == 0, train.user_counts == 0
    items = train.items.assign(
        categories=train.items["categories"].mask(late_items, "a, aa, zz"), year=train.items["year"].mask(late_items, 7)
    )
    users = train.users.assign(age=train.users["age"].mask(late_users, 1.0))
    users["sex"] = users["sex"].mask(late_users, "A")
    again = FeatureTable.fitted(train.with_(items=items, users=users))
    assert again.sizes == table.sizes
    np.testing.assert_array_equal(again.users[~late_users], table.users[~late_users])
    np.testing.assert_array_equal(again.items[~late_items], table.items[~late_items])
    np.testing.assert_array_equal(again.lists[0][~late_items][:, :2], table.lists[0][~late_items])
    assert FeatureTable.fitted(world()).sizes == (5, 4, 4, 7, 5, 5)


def test_a_vector_of_an_agent_gives_a_cold_item_a_code_of_its_own(train):
    vectors = np.zeros((6, 3), np.float32)
    vectors[4] = 1
    table = FeatureTable.fitted(train.with_(item_vectors=vectors))
    assert column(table, "item") == [1, 2, 3, 4, 5, 0]


def test_many_numbers_are_cut_at_quantiles_of_train():
    n = 200
    table = pd.DataFrame({"user_id": np.arange(n), "item_id": 0})
    users = pd.DataFrame({"user_id": np.arange(n), "age": np.arange(n, dtype=float)})
    data = Dataset.of("ages", table, None, users)
    train = data.rows(data.user < 100)
    codes = FeatureTable.fitted(train).users[:, 1]
    assert codes.min() == 1
    assert np.bincount(codes[:100])[1:].tolist() == [10] * 10
    assert (codes[100:] == 10).all()


def test_a_row_has_its_hour_and_weekday():
    moments = np.array([0, 3600 * 5 + 7, 86400 * 8])
    assert context_codes(("hour", "weekday"), moments).tolist() == [[1, 1], [6, 1], [1, 2]]


def test_a_column_that_is_not_there_is_refused(train):
    with pytest.raises(ConfigError, match=r"no column 'brand'; it has categories, year"):
        FeatureTable.fitted(train, ["brand"])


def test_columns_are_taken_as_they_are_asked_for(train):
    assert FeatureTable.fitted(train).names == ("user", "age", "sex", "item", "year", "categories")
    assert FeatureTable.fitted(train, ["sex"], ["hour"]).names == ("user", "sex", "item", "hour")
    assert FeatureTable.fitted(train, []).names == ("user", "item")
