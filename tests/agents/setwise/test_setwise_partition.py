"""Overlapping sets judge every item equally often, and their rankings become one order and one mismatch."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import exp, log, log1p

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from recloop.agents.setwise import Setwise
from recloop.agents.setwise.judgement import (
    RankedSet,
    levelled,
    logistic_mismatch,
    merge,
    misjudged,
    mismatch,
    order_of,
    partitions,
    windows,
    wrongly_above,
)
from recloop.errors import ConfigError


@st.composite
def fair(draw: st.DrawFn) -> tuple[int, int, int]:
    """count, size, stride with equal exposure: the stride divides both, or the sets do not overlap."""
    stride = draw(st.integers(1, 5))
    size = stride * draw(st.integers(1, 4))
    count = draw(st.integers(1, 30)) if size == stride else stride * draw(st.integers(1, 10))
    return count, size, stride


@st.composite
def judged(draw: st.DrawFn) -> tuple[int, list[RankedSet]]:
    """A partition with every set ranked and scored at random."""
    count, size, stride = draw(fair())
    sets = []
    for positions in windows(count, size, stride):
        ranking = draw(st.permutations(positions))
        scores = draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1.0]), min_size=len(ranking), max_size=50))
        sets.append(RankedSet(tuple(ranking), tuple(sorted(scores[: len(ranking)], reverse=True))))
    return count, sets


# --- windows ----------------------------------------------------------------------------------------------------------


def test_ten_candidates_in_sets_of_four_every_two_make_five_sets() -> None:
    assert windows(10, 4, 2) == [(0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 6, 7), (6, 7, 8, 9), (8, 9, 0, 1)]


@pytest.mark.parametrize(
    ("size", "stride", "sets"),
    [
        (1, 1, [(0,), (1,), (2,), (3,), (4,), (5,)]),
        (2, 1, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]),
        (3, 3, [(0, 1, 2), (3, 4, 5)]),
        (4, 4, [(0, 1, 2, 3), (4, 5)]),
        (6, 1, [(0, 1, 2, 3, 4, 5)]),
        (9, 2, [(0, 1, 2, 3, 4, 5)]),
    ],
    ids=["point-wise", "pair-wise", "no overlap", "no overlap, a rest", "list-wise", "a set larger than the list"],
)
def test_every_ablation_of_six_candidates(size: int, stride: int, sets: list[tuple[int, ...]]) -> None:
    assert windows(6, size, stride) == sets


@given(fair())
def test_every_position_lies_in_equally_many_sets(shape: tuple[int, int, int]) -> None:
    count, size, stride = shape
    sets = windows(count, size, stride)
    exposure = Counter(position for positions in sets for position in positions)
    assert set(exposure) == set(range(count))
    assert set(exposure.values()) == {1 if size >= count else size // stride}
    assert all(len(set(positions)) == len(positions) <= size for positions in sets)


@given(fair())
def test_overlapping_sets_link_every_item_to_every_other(shape: tuple[int, int, int]) -> None:
    count, size, stride = shape
    assume(stride < size)
    reached, sets = {0}, windows(count, size, stride)
    for _ in sets:
        reached |= {p for positions in sets if reached & set(positions) for p in positions}
    assert reached == set(range(count))


@pytest.mark.parametrize(
    ("candidates", "set_size", "stride"), [(10, 4, 3), (9, 4, 2), (10, 6, 4), (10, 4, 5), (10, 3, 2)]
)
def test_settings_that_would_judge_items_unequally_often_are_refused(
    candidates: int, set_size: int, stride: int
) -> None:
    with pytest.raises(ConfigError, match="stride must"):
        Setwise(candidates=candidates, set_size=set_size, stride=stride)


def test_the_refusal_names_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"set_size 4, stride 3, 10 candidates.*divide both"):
        windows(10, 4, 3)
    with pytest.raises(ConfigError, match=r"set_size 2 and stride 3.*1\.\.set_size"):
        windows(10, 2, 3)
    with pytest.raises(ConfigError, match="stride"):
        windows(10, 4, 0)


# --- merge ------------------------------------------------------------------------------------------------------------


def test_the_merged_order_by_hand() -> None:
    # Four items, sets of two: 0 beats 1, 1 beats 2, 3 beats 2, 3 beats 0.
    sets = [
        RankedSet((0, 1), (0.9, 0.5)),
        RankedSet((1, 2), (0.7, 0.2)),
        RankedSet((3, 2), (0.8, 0.4)),
        RankedSet((3, 0), (1.0, 0.6)),
    ]
    merged = merge(sets, 4)
    assert merged.borda == (0.5, 0.5, 1.0, 0.0)
    assert merged.scores == pytest.approx((0.75, 0.6, 0.3, 0.9))
    # 0 and 1 tie by rank and by wins; the higher mean score decides.
    assert merged.order == (3, 0, 1, 2)
    assert [merged.place(position) for position in range(4)] == pytest.approx([1 / 3, 2 / 3, 1.0, 0.0])


def test_ties_fall_to_the_item_with_more_wins_in_shared_sets() -> None:
    # 0 and 4 are both always first; 4 stood above two items, 0 above one, although 0 scored higher.
    sets = [RankedSet((0, 1), (1.0, 0.1)), RankedSet((4, 2, 3), (0.2, 0.1, 0.0))]
    assert merge(sets, 5).order[:2] == (4, 0)


def test_ties_in_everything_fall_to_the_position() -> None:
    assert merge([RankedSet((1,), (0.5,)), RankedSet((0,), (0.5,))], 2).order == (0, 1)


def test_equal_mean_ranks_are_ties_although_floats_add_up_unequally() -> None:
    # Item 0 stands at .6, .4 and .2, item 1 three times at .4: added up as they come, these sums differ.
    def set_with(item: int, rank: int, score: float) -> RankedSet:
        ranking, scores = [5, 6, 7, 8, 9], [0.0] * 5
        ranking.insert(rank, item)
        scores.insert(rank, score)
        return RankedSet(tuple(ranking), tuple(scores))

    merged = merge([*(set_with(0, r, 0.3) for r in (3, 2, 1)), *(set_with(1, 2, 0.8) for _ in range(3))], 10)
    assert merged.borda[0] == merged.borda[1]
    assert merged.order.index(1) < merged.order.index(0)


def test_point_wise_judgements_are_ordered_by_score() -> None:
    sets = [RankedSet((p,), (score,)) for p, score in enumerate([0.2, 0.9, 0.5])]
    assert merge(sets, 3).order == (1, 2, 0)
    assert mismatch(sets, 0, 3) == 1.0
    assert mismatch(sets, 1, 3) == 0.0
    assert wrongly_above(sets, 2, 3) == [1]


@settings(max_examples=60)
@given(judged())
def test_the_merged_order_is_a_permutation_of_all_candidates(case: tuple[int, list[RankedSet]]) -> None:
    count, sets = case
    merged = merge(sets, count)
    assert sorted(merged.order) == list(range(count))
    assert all(0 <= value <= 1 for value in (*merged.borda, *merged.scores))


@settings(max_examples=60)
@given(judged(), st.randoms(use_true_random=False))
def test_the_order_of_sets_does_not_matter(case: tuple[int, list[RankedSet]], random: object) -> None:
    count, sets = case
    shuffled = list(sets)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled, count) == merge(sets, count)
    assert all(mismatch(shuffled, p, count) == mismatch(sets, p, count) for p in range(count))


@settings(max_examples=60)
@given(judged())
def test_the_merged_order_follows_the_exact_mean_ranks(case: tuple[int, list[RankedSet]]) -> None:
    count, sets = case
    assume(all(len(s.ranking) > 1 for s in sets))
    exact: dict[int, list[Fraction]] = {position: [] for position in range(count)}
    for s in sets:
        for rank, position in enumerate(s.ranking):
            exact[position].append(Fraction(rank, len(s.ranking) - 1))
    means = {position: sum(found) / len(found) for position, found in exact.items()}
    ordered = [means[position] for position in merge(sets, count).order]
    assert ordered == sorted(ordered)


# --- mismatch ---------------------------------------------------------------------------------------------------------


def test_the_mismatch_by_hand() -> None:
    # Item 2 is second of four (1/3) in one set, last of four (1) in the other.
    sets = [RankedSet((0, 2, 1, 3), (0.9, 0.8, 0.1, 0.0)), RankedSet((5, 3, 4, 2), (0.9, 0.8, 0.7, 0.1))]
    assert mismatch(sets, 2, 6) == pytest.approx(2 / 3)
    assert wrongly_above(sets, 2, 6) == [0, 3, 4, 5]
    assert misjudged(sets, 2, 6) == sets


def test_sets_without_the_true_item_say_nothing_of_the_mismatch() -> None:
    with_it = RankedSet((2, 0), (0.9, 0.1))
    assert mismatch([with_it, RankedSet((3, 1), (1.0, 0.0))], 2, 4) == 0.0
    assert mismatch([with_it, RankedSet((1, 3), (0.0, 0.0))], 2, 4) == 0.0


def test_the_pair_wise_logistic_form_by_hand() -> None:
    merged = merge([RankedSet((0, 1, 2), (0.9, 0.5, 0.1))], 3)
    assert logistic_mismatch(merged, 1) == pytest.approx((log1p(exp(0.4)) + log1p(exp(-0.4))) / 2)
    assert logistic_mismatch(merge([RankedSet((0,), (0.5,))], 1), 0) == pytest.approx(log(2))


@settings(max_examples=60)
@given(judged(), st.data())
def test_the_mismatch_is_zero_only_where_the_true_item_is_first_everywhere(
    case: tuple[int, list[RankedSet]], data: st.DataObject
) -> None:
    count, sets = case
    positive = data.draw(st.integers(0, count - 1))
    loss = mismatch(sets, positive, count)
    assert 0 <= loss <= 1
    compared = [s for s in sets if positive in s.ranking and len(s.ranking) > 1]
    first = [s.ranking[0] == positive for s in compared] or [merge(sets, count).order[0] == positive]
    assert (loss == 0) == all(first)
    assert (loss == 0) == (wrongly_above(sets, positive, count) == [])


@settings(max_examples=60)
@given(judged(), st.data())
def test_what_stands_wrongly_above_stands_so_in_a_misjudged_set(
    case: tuple[int, list[RankedSet]], data: st.DataObject
) -> None:
    """A reflection is shown every item that it is told was wrongly preferred, point-wise too."""
    count, sets = case
    positive = data.draw(st.integers(0, count - 1))
    above = {p for s in misjudged(sets, positive, count) for p in s.ranking[: s.ranking.index(positive)]}
    assert above == set(wrongly_above(sets, positive, count))


def test_point_wise_the_merged_order_stands_for_the_misjudged_set() -> None:
    sets = [RankedSet((p,), (score,), f"why {p}") for p, score in enumerate([0.2, 0.9, 0.5])]
    assert misjudged(sets, 2, 3) == [RankedSet((1, 2, 0), (0.9, 0.5, 0.2), "why 2")]


def test_a_reply_becomes_positions() -> None:
    reply = [("B", 0.9), ("A", 0.1)]
    assert order_of({"A": 4, "B": 7}, reply, "because", [2]) == RankedSet((7, 4), (0.9, 0.1), "because", (4, 7), (2,))


# --- dealing anew, and sets that share nothing ------------------------------------------------------------------------


@settings(max_examples=40)
@given(fair(), st.integers(1, 3), st.integers(0, 99))
def test_however_often_it_is_dealt_every_item_is_judged_equally_often(
    shape: tuple[int, int, int], dealings: int, seed: int
) -> None:
    count, size, stride = shape
    sets = partitions(count, size, stride, dealings, np.random.default_rng(seed))
    shown = Counter(position for one in sets for position in one)
    assert set(shown.values()) == set(Counter(p for one in windows(count, size, stride) for p in one).values()) or (
        len(set(shown.values())) == 1
    )
    assert len(sets) == dealings * len(windows(count, size, stride))


def test_without_dealing_the_list_is_judged_as_it_stands() -> None:
    assert partitions(10, 5, 5) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    again = partitions(10, 5, 5, 2, np.random.default_rng(1))
    assert again != [*partitions(10, 5, 5), *partitions(10, 5, 5)]
    assert again == partitions(10, 5, 5, 2, np.random.default_rng(1))


def test_scores_link_what_ranks_of_disjoint_sets_cannot_compare() -> None:
    """By hand: the first set holds the two best items; by rank the winner of the poor set comes between them."""
    sets = [RankedSet((0, 1), (0.9, 0.8)), RankedSet((3, 2), (0.2, 0.1))]
    assert merge(sets, 4).order == (0, 3, 1, 2)
    assert merge(sets, 4, "score").order == (0, 1, 3, 2)


def test_inside_a_set_the_ranking_outweighs_scores_that_contradict_it() -> None:
    sets = [RankedSet((0, 1, 2), (0.4, 0.8, 0.1)), RankedSet((3,), (0.5,))]
    assert levelled((0.4, 0.8, 0.1)) == pytest.approx((0.6, 0.6, 0.1))
    assert merge(sets, 4, "score").order == (0, 1, 3, 2)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_levelled_scores_never_rise_and_keep_their_sum(scores: list[float]) -> None:
    level = levelled(scores)
    assert all(a >= b - 1e-9 for a, b in pairwise(level))
    assert sum(level) == pytest.approx(sum(scores))
    if scores == sorted(scores, reverse=True):
        assert level == pytest.approx(tuple(scores))
