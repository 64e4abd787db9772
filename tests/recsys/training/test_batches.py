"""Negatives are no positives of their user; windows and pieces lose nothing and invent nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.training.batches import Negatives, newest, pieces, shuffled, windows

histories = st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=6)


def dataset(lists, n_items=None):
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    data = Dataset.of("made", pd.DataFrame({"user_id": users, "item_id": np.concatenate(lists)}))
    return data


@settings(deadline=None)
@given(histories, st.integers(0, 5))
def test_a_negative_is_never_a_positive_of_its_own_user(lists, seed):
    data = dataset([*lists, list(range(9))])  # the last user makes every item known
    negatives = Negatives.of(data)
    users = data.user[negatives.free(data.user) > 0]
    drawn = negatives.draw(users, np.random.default_rng(seed), each=7)
    assert drawn.shape == (len(users), 7)
    positives = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
    assert not positives & {(u, i) for u, row in zip(users.tolist(), drawn.tolist(), strict=True) for i in row}
    assert drawn.size == 0 or 0 <= drawn.min() <= drawn.max() < data.n_items


def test_every_item_that_is_no_positive_is_drawn_equally_often():
    data = dataset([[0, 3, 3, 5], [0, 1, 2, 3, 4, 5, 6]])
    drawn = Negatives.of(data).draw(np.zeros(40_000, np.int32), np.random.default_rng(0))
    items = data.items["item_id"].to_numpy()[drawn[:, 0]]
    shares = np.bincount(items, minlength=7) / len(items)
    np.testing.assert_allclose(shares, [0, 0.25, 0.25, 0, 0.25, 0, 0.25], atol=0.01)


def test_a_user_who_knows_the_whole_catalogue_has_no_negative():
    negatives = Negatives.of(dataset([[0, 1], [0]]))
    assert negatives.free(np.array([0, 1])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="user 0 has interacted with every item"):
        negatives.draw(np.array([1, 0]), np.random.default_rng(0))


@settings(deadline=None)
@given(histories, st.integers(1, 5), st.integers(0, 3))
def test_pieces_make_every_interaction_but_the_first_a_target_exactly_once(lists, length, seed):
    data = dataset(lists)
    users, start, steps = pieces(data, length, np.random.default_rng(seed))
    assert ((steps >= 1) & (steps <= length)).all()
    targets = np.concatenate([np.arange(s + 1, s + n + 1) for s, n in zip(start, steps, strict=True)] or [[]])
    first = data.indptr[:-1]
    assert sorted(targets.tolist()) == sorted(set(range(len(data))) - set(first.tolist()))
    assert (data.user[start] == users).all()
    assert (data.user[start + steps] == users).all()


def test_cuts_fall_elsewhere_in_the_next_epoch():
    data = dataset([list(range(9)) * 5])
    rng = np.random.default_rng(0)
    assert len({tuple(pieces(data, 10, rng)[1].tolist()) for _ in range(20)}) > 5


def test_the_newest_window_holds_the_end_of_a_history_and_pads_on_the_right():
    data = dataset([[10, 11, 12, 13], [14]])
    seen = newest(data, np.array([1, 0], np.int32), 3, pad=99)
    assert seen.items.tolist() == [[4, 99, 99], [1, 2, 3]]
    assert seen.rows.tolist() == [[4, -1, -1], [1, 2, 3]]


def test_a_window_of_a_user_without_history_is_padding_alone():
    data = dataset([[1, 2], [1]])
    empty = data.rows(data.user != 1)
    assert newest(empty, np.array([1], np.int32), 2, pad=7).items.tolist() == [[7, 7]]
    nothing = data.rows(data.user > 5)
    assert newest(nothing, np.array([0], np.int32), 2, pad=7).items.tolist() == [[7, 7]]


def test_a_window_keeps_to_its_rows():
    data = dataset([[5, 6, 7, 8]])
    seen = windows(data, np.zeros(1, np.int32), np.array([1]), np.array([2]), 2, pad=9)
    assert seen.items.tolist() == [[1, 2]]


def test_shuffled_batches_hold_every_number_once():
    batches = list(shuffled(10, 4, np.random.default_rng(0)))
    assert [len(b) for b in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(10))
