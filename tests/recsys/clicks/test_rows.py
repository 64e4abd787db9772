"""Labels by the threshold, and histories that hold the past alone."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import DataError
from recloop.recsys.clicks.rows import Likes, has_ratings, labels
from recloop.recsys.data.dataset import Dataset


def rated(rows):
    return Dataset.of("rated", pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "value"]))


def test_a_rating_at_the_threshold_is_a_click():
    data = rated([(0, 0, 1, 3.5), (0, 1, 2, 4.0), (0, 2, 3, 5.0)])
    assert labels(data, 4.0).tolist() == [0, 1, 1]
    assert labels(data, 5.0).tolist() == [0, 0, 1]


def test_labels_that_are_all_equal_are_refused():
    data = rated([(0, 0, 1, 4.0), (0, 1, 2, 5.0)])
    assert not has_ratings(data, 4.0)
    with pytest.raises(DataError, match="one side of threshold 4"):
        labels(data, 4.0)


def test_a_history_is_the_liked_rows_before_the_moment_and_a_tie_is_not_before():
    data = rated([(0, 5, 1, 5), (0, 6, 2, 1), (0, 7, 3, 5), (0, 8, 3, 5), (0, 9, 4, 5), (1, 5, 2, 5)])
    likes = Likes.of(data, 4.0)
    users = np.zeros(6, np.int32)
    ends = likes.before(users, np.array([0, 1, 2, 3, 4, 9]))
    ids = np.append(data.items["item_id"].to_numpy(), -1)
    seen = ids[likes.last(users, ends, 3, data.n_items)].tolist()
    assert seen == [[-1, -1, -1], [-1, -1, -1], [5, -1, -1], [5, -1, -1], [5, 7, 8], [7, 8, 9]]


def test_without_a_threshold_every_row_is_in_the_history():
    data = rated([(0, 5, 1, 5), (0, 6, 2, 1), (0, 7, 3, 5)])
    likes = Likes.of(data, None)
    assert likes.last(np.zeros(1, np.int32), likes.whole(np.zeros(1, np.int32)), 2, 3).tolist() == [[1, 2]]


def test_histories_are_those_of_a_loop_over_the_rows():
    rng = np.random.default_rng(0)
    n = 400
    table = {"user_id": rng.integers(0, 9, n), "item_id": rng.integers(0, 50, n), "timestamp": rng.integers(0, 60, n)}
    data = Dataset.of("random", pd.DataFrame(table | {"value": rng.integers(1, 6, n).astype(float)}))
    likes = Likes.of(data, 4.0)
    users, moments = rng.integers(0, data.n_users, 100).astype(np.int32), rng.integers(-1, 62, 100)
    found = likes.last(users, likes.before(users, moments), 7, data.n_items)
    for user, moment, row in zip(users, moments, found, strict=True):
        past = (data.user == user) & (data.timestamp < moment) & (data.value >= 4)
        assert row[row < data.n_items].tolist() == data.item[past][-7:].tolist()


def test_nobody_has_a_history_where_nothing_was_liked():
    data = rated([(0, 5, 1, 1), (1, 6, 2, 1)])
    likes = Likes.of(data, 4.0)
    users = np.arange(2, dtype=np.int32)
    assert (likes.last(users, likes.before(users, np.array([9, 9])), 3, 2) == 2).all()
