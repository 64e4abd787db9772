"""Splits: every row on one side, nothing of the future in train, ties as documented."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import (
    Dataset,
    Split,
    global_time,
    leave_last_out,
    per_user_ratio,
    read_movielens,
)
from recloop.recsys.data import given as given_pairs

LOGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.integers(0, 8)), min_size=4, max_size=60)
SPLITS: list[Callable[[Dataset], Split]] = [
    leave_last_out,
    lambda data: leave_last_out(data, valid=2, test=3),
    global_time,
    lambda data: global_time(data, 3, 5),
    lambda data: per_user_ratio(data, 0.2, 0.3),
    lambda data: per_user_ratio(data, 0.2, 0.3, seed=1, order="random"),
]


def dataset(rows: list[tuple[int, int, int]]) -> Dataset:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return Dataset.of("d", frame.assign(row=np.arange(len(rows))))


def rows_of(data: Dataset) -> list[int]:
    return data.interactions["row"].tolist()


@pytest.mark.parametrize("split", SPLITS)
@given(rows=LOGS)
def test_every_row_is_on_exactly_one_side_over_the_same_users_and_items(
    split: Callable[[Dataset], Split], rows: list[tuple[int, int, int]]
) -> None:
    data = dataset(rows)
    try:
        sides = split(data)
    except DataError as error:
        assert "empty" in str(error)  # noqa: PT017
        return
    together = [row for side in (sides.train, sides.valid, sides.test) for row in rows_of(side)]
    assert sorted(together) == list(range(len(rows)))
    assert sides.train.items is data.items
    assert sides.test.users is data.users


@pytest.mark.parametrize("split", [SPLITS[0], SPLITS[1], SPLITS[4]])
@given(rows=LOGS)
def test_per_user_no_training_row_is_later_than_an_evaluated_one(
    split: Callable[[Dataset], Split], rows: list[tuple[int, int, int]]
) -> None:
    try:
        sides = split(dataset(rows))
    except DataError:
        return
    for user in range(sides.train.n_users):
        keys = [
            [(t, r) for u, t, r in zip(side.user, side.timestamp, rows_of(side), strict=True) if u == user]
            for side in (sides.train, sides.valid, sides.test)
        ]
        assert keys[0] + keys[1] + keys[2] == sorted(keys[0] + keys[1] + keys[2])
        assert keys[0]


@given(LOGS, st.floats(0.05, 0.4))
def test_globally_no_training_row_is_as_late_as_a_tested_one(rows: list[tuple[int, int, int]], share: float) -> None:
    try:
        sides = global_time(dataset(rows), share, share)
    except DataError:
        return
    for earlier, later in ((sides.train, sides.valid), (sides.valid, sides.test), (sides.train, sides.test)):
        if len(earlier) and len(later):
            assert earlier.timestamp.max() < later.timestamp.min()
    assert len(sides.test) >= int(len(rows) * share)


def test_the_last_of_equal_timestamps_is_the_last_in_the_source() -> None:
    sides = leave_last_out(dataset([(1, 10, 5), (1, 11, 5), (1, 12, 5)]))
    assert [rows_of(side) for side in (sides.train, sides.valid, sides.test)] == [[0], [1], [2]]


def test_a_user_with_too_few_rows_stays_in_train() -> None:
    sides = leave_last_out(dataset([(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 3, 3)]))
    assert rows_of(sides.train) == [0, 1, 2]
    assert rows_of(sides.test) == [4]


def test_moments_and_shares_are_not_mixed() -> None:
    data = dataset([(1, 1, 86400), (1, 2, 2 * 86400), (1, 3, 3 * 86400)])
    sides = global_time(data, "1970-01-03", "1970-01-04")
    assert [len(side) for side in (sides.train, sides.valid, sides.test)] == [1, 1, 1]
    with pytest.raises(ConfigError, match="two shares below 1, or two moments"):
        global_time(data, 0.1, 86400)
    with pytest.raises(ConfigError, match="swap them"):
        global_time(data, 200000, 100000)
    assert len(global_time(data, 0, 0.5).valid) == 0
    with pytest.raises(ConfigError, match="whole number of rows"):
        leave_last_out(data, valid=0.1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sum is below 1"):
        global_time(data, 0.5, 0.5)


def test_ratios_count_each_users_own_rows() -> None:
    data = dataset([(1, i, i) for i in range(10)] + [(2, i, i) for i in range(5)])
    sides = per_user_ratio(data, 0.1, 0.2)
    assert [side.user_counts.tolist() for side in (sides.train, sides.valid, sides.test)] == [[7, 4], [1, 0], [2, 1]]


def test_a_random_split_is_the_seeds_and_the_users_own() -> None:
    rows = [(u, i, i) for u in range(3) for i in range(40)]
    first, again, other = (per_user_ratio(dataset(rows), seed=s, order="random") for s in (0, 0, 1))
    assert first.test.fingerprint == again.test.fingerprint != other.test.fingerprint
    alone = per_user_ratio(dataset(rows[40:80]), seed=0, order="random")
    assert alone.test.timestamp.tolist() == first.test.timestamp[first.test.user == 1].tolist()
    with pytest.raises(ConfigError, match="write 'time' or 'random'"):
        per_user_ratio(dataset(rows), order="shuffled")  # type: ignore[arg-type]


def test_a_given_split_is_taken_as_it_stands(shared_data: Path) -> None:
    loo = shared_data / "ml-100k" / "loo"
    sides = given_pairs(read_movielens(shared_data / "ml-100k"), loo / "valid.tsv", loo / "test.tsv")
    assert (len(sides.train), len(sides.valid), len(sides.test)) == (98114, 943, 943)
    user = sides.test.users.index[sides.test.users["user_id"] == 196][0]
    assert sides.test.items["item_id"].iloc[sides.test.history(user)].tolist() == [110]


def test_a_given_pair_takes_all_its_rows_and_must_exist_once(tmp_path: Path) -> None:
    data = dataset([(1, 7, 1), (1, 7, 2), (1, 8, 3), (2, 8, 1)])
    valid, test = tmp_path / "valid.tsv", tmp_path / "test.tsv"
    test.write_text("user_id\titem_id\n1\t7\n")
    assert rows_of(given_pairs(data, None, test).train) == [2, 3]
    valid.write_text("user_id\titem_id\n1\t8\n2\t9\n")
    with pytest.raises(DataError, match=r"valid.tsv: line 3: user '2' has no interaction with item '9'"):
        given_pairs(data, valid, test)
    valid.write_text("user_id\titem_id\n1\t7\n")
    with pytest.raises(DataError, match=r"test.tsv: user '1', item '7' stands in .*valid.tsv too"):
        given_pairs(data, valid, test)


def test_a_split_that_leaves_nothing_to_test_is_refused() -> None:
    with pytest.raises(DataError, match=r"leaves test empty \(train, valid, test: 2, 0, 0 of 2 rows\)"):
        leave_last_out(dataset([(1, 1, 1), (1, 2, 2)]))
