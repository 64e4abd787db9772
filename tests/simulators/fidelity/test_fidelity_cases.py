"""Lists are fair: the truth once, others never taken, and where they are matched, popularity tells nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.recsys.data import leave_last_out, read_movielens
from recloop.recsys.data.bazaar import bazaar
from recloop.simulators.fidelity.cases import Field, next_item_cases, popularity_rank, taste_cases
from recloop.simulators.fidelity.position import turns
from recloop.simulators.fidelity.scoring import auc

FIELD = Field.of(leave_last_out(bazaar(0, 120, 200), valid=1, test=6))
USERS = FIELD.chosen(60, held=6, history=3, seed=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["uniform", "popularity"]), st.integers(2, 15))
def test_a_list_holds_the_next_item_once_and_nothing_else_the_user_ever_took(seed, kind, length) -> None:
    for case in next_item_cases(FIELD, USERS[:10], length, kind, seed):
        assert len(set(case.candidates)) == length
        assert sum(case.taken) == 1
        assert case.truth == FIELD.held.history(case.user)[0]
        others = set(case.candidates) - {case.truth}
        assert not others & set(FIELD.everything.history(case.user).tolist())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["uniform", "popularity"]), st.integers(1, 4))
def test_a_taste_list_marks_exactly_what_was_held_out(seed, kind, ratio) -> None:
    for case in taste_cases(FIELD, USERS[:10], 4, ratio, kind, seed):
        held = set(FIELD.held.history(case.user).tolist())
        assert case.taken == tuple(item in held for item in case.candidates)
        assert sum(case.taken) == 4
        assert len(case.candidates) == 4 * (ratio + 1) == len(set(case.candidates))
        assert not {i for i, t in zip(case.candidates, case.taken, strict=True) if not t} & set(
            FIELD.everything.history(case.user).tolist()
        )


def test_a_users_list_does_not_depend_on_who_else_is_asked() -> None:
    alone = taste_cases(FIELD, [USERS[5]], 4, 1, "popularity", 3)
    among = taste_cases(FIELD, USERS, 4, 1, "popularity", 3)
    assert alone[0] == among[5]


def test_the_truth_stands_at_every_place_equally_often() -> None:
    places = [c.taken.index(True) for seed in range(40) for c in next_item_cases(FIELD, USERS, 5, "uniform", seed)]
    share = np.bincount(places, minlength=5) / len(places)
    assert np.abs(share - 0.2).max() < 0.03


def test_popularity_tells_nothing_on_matched_lists_and_much_on_uniform_ones(shared_data) -> None:
    data = read_movielens(shared_data / "ml-latest-small" / "ml-latest-small.zip")
    field = Field.of(leave_last_out(data, valid=0, test=10))
    users = field.chosen(500, held=10, history=20, seed=0)
    counts = field.known.item_counts.astype(float)
    found = {
        kind: np.mean([auc(c, counts[list(c.candidates)]) for c in taste_cases(field, users, 10, 1, kind, 0)])
        for kind in ("popularity", "uniform")
    }
    assert found["popularity"] == pytest.approx(0.5, abs=0.03)
    assert found["uniform"] > 0.7


def test_equal_counts_are_ranked_by_chance_and_ranks_are_a_permutation() -> None:
    rank = popularity_rank(FIELD.known, np.random.default_rng(0))
    assert sorted(rank) == list(range(FIELD.known.n_items))
    by_rank = FIELD.known.item_counts[np.argsort(rank)]
    assert (np.diff(by_rank) <= 0).all()
    assert (popularity_rank(FIELD.known, np.random.default_rng(1)) != rank).any()


def test_turning_a_list_moves_every_item_and_keeps_what_was_taken() -> None:
    case = next_item_cases(FIELD, USERS[:1], 10, "uniform", 0)[0]
    orders = [turns([case], turn, 5)[0] for turn in range(5)]
    assert orders[0] == case
    for item in case.candidates:
        assert len({order.candidates.index(item) for order in orders}) == 5
    assert {order.truth for order in orders} == {case.truth}
