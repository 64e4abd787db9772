"""Filters: what stays, that codes are dense again, and that an empty result says who emptied it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recloop.errors import DataError
from recloop.recsys.data import Dataset, at_least, drop_duplicates, k_core, time_window

LOGS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=60
)


def dataset(rows: list[tuple[int, int, int, int]]) -> Dataset:
    return Dataset.of("d", pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "value"]))


def triples(data: Dataset) -> list[tuple[int, int, int, float]]:
    users, items = data.users["user_id"].to_numpy()[data.user], data.items["item_id"].to_numpy()[data.item]
    return sorted(zip(users.tolist(), items.tolist(), data.timestamp.tolist(), data.value.tolist(), strict=True))


def dense(data: Dataset) -> bool:
    return bool(data.user_counts.all() and data.item_counts.all())


@given(LOGS)
def test_at_least_keeps_exactly_the_higher_values(rows: list[tuple[int, int, int, int]]) -> None:
    wanted = sorted(row for row in rows if row[3] >= 3)
    if not wanted:
        with pytest.raises(DataError, match=rf"empty after at_least\(3\).*had {len(rows)} rows before"):
            at_least(dataset(rows), 3)
        return
    data = at_least(dataset(rows), 3)
    assert triples(data) == wanted
    assert dense(data)


@given(LOGS, st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_what_taking_out_one_at_a_time_leaves(
    rows: list[tuple[int, int, int, int]], user: int, item: int
) -> None:
    left = list(rows)
    while True:
        users, items = [r[0] for r in left], [r[1] for r in left]
        poor = [r for r in left if users.count(r[0]) < user or items.count(r[1]) < item]
        if not poor:
            break
        left.remove(poor[0])
    if not left:
        with pytest.raises(DataError, match=rf"k_core\(user={user}, item={item}\)"):
            k_core(dataset(rows), user, item)
        return
    data = k_core(dataset(rows), user, item)
    assert triples(data) == sorted(left)
    assert dense(data)


def test_duplicates_keep_the_last_or_first_and_the_sources_order_among_equals() -> None:
    data = dataset([(1, 7, 5, 1), (1, 8, 6, 2), (1, 7, 9, 3), (2, 7, 4, 4), (2, 7, 4, 5)])
    assert triples(drop_duplicates(data)) == [(1, 7, 9, 3), (1, 8, 6, 2), (2, 7, 4, 5)]
    assert triples(drop_duplicates(data, "first")) == [(1, 7, 5, 1), (1, 8, 6, 2), (2, 7, 4, 4)]


def test_a_window_includes_its_start_and_leaves_out_its_end() -> None:
    data = dataset([(1, 1, 0, 1), (1, 2, 86400, 1), (1, 3, 2 * 86400, 1)])
    assert time_window(data, 86400).timestamp.tolist() == [86400, 172800]
    assert time_window(data, None, "1970-01-02").timestamp.tolist() == [0]
    assert time_window(data, "1970-01-02", "1970-01-03T00:00:00Z").timestamp.tolist() == [86400]
    with pytest.raises(DataError, match=r"empty after time_window.* the data runs from 0 to 172800"):
        time_window(data, "1999-01-01")
    with pytest.raises(DataError, match="'yesterday' is no moment"):
        time_window(data, "yesterday")


def test_texts_vectors_and_pairs_follow_their_users_and_items() -> None:
    data = dataset([(1, 10, 1, 1), (1, 11, 2, 5), (2, 12, 3, 5), (3, 10, 4, 1)])
    pairs = pd.DataFrame(
        {"user": [0, 1, 0], "preferred": [1, 2, 0], "other": [2, 1, 1], "weight": 1.0, "agent": "a", "record": "r"}
    )
    rich = data.with_(
        items=data.items.assign(title=["ten", "eleven", "twelve"]),
        pairs=pairs,
        item_vectors=np.arange(3, dtype=np.float32)[:, None],
        user_vectors=np.arange(3, dtype=np.float32)[:, None],
    )
    kept = at_least(rich, 5)
    assert kept.items["title"].tolist() == ["eleven", "twelve"]
    assert kept.item_vectors is not None
    assert kept.user_vectors is not None
    assert kept.item_vectors[:, 0].tolist() == [1, 2]
    assert kept.user_vectors[:, 0].tolist() == [0, 1]
    assert kept.pairs[["user", "preferred", "other"]].to_numpy().tolist() == [[0, 0, 1], [1, 1, 0]]


def test_a_filter_that_takes_nothing_gives_equal_data() -> None:
    data = dataset([(1, 1, 0, 1), (2, 2, 1, 1)])
    assert k_core(data, 1, 1).fingerprint == data.fingerprint
