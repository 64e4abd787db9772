"""Values that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recloop.recsys.data.bazaar import bazaar
from recloop.simulators.fidelity.calibration import Scale, to_distribution, to_error
from recloop.simulators.fidelity.cases import Case
from recloop.simulators.fidelity.content import content
from recloop.simulators.fidelity.position import position_shares
from recloop.simulators.fidelity.ratings import jensen_shannon, total_variation
from recloop.simulators.fidelity.references import standard
from recloop.simulators.fidelity.scoring import auc, decisions, kendall, ndcg, yes_by_share

CASE = Case(0, (10, 11, 12, 13), (True, False, True, False))


def test_all_yes_has_the_share_of_the_taken_as_accuracy() -> None:
    assert decisions(CASE, np.ones(4)) == {"accuracy": 0.5, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}


def test_no_yes_at_all_has_no_precision_and_finds_nothing() -> None:
    found = decisions(CASE, np.zeros(4))
    assert np.isnan(found["precision"])
    assert (found["recall"], found["f1"], found["accuracy"]) == (0, 0, 0.5)


def test_a_missing_answer_is_undefined_and_not_zero() -> None:
    assert all(np.isnan(value) for value in decisions(CASE, None).values())
    assert np.isnan(auc(CASE, None))
    data = bazaar(0, 30, 130)
    values = ndcg([Case(0, (1, 2), (True, False))], [None], data, (1, 5))
    assert np.isnan(values["ndcg@1"][0])


def test_items_tied_at_the_border_share_the_yeses_that_are_left() -> None:
    assert yes_by_share(np.array([3.0, 1.0, 1.0, 0.0]), 0.5).tolist() == [1, 0.5, 0.5, 0]
    assert yes_by_share(np.zeros(4), 0.5).tolist() == [0.5] * 4


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.floats(0, 1))
def test_exactly_k_yeses_are_given(scores, share) -> None:
    assert yes_by_share(np.array(scores, float), share).sum() == pytest.approx(round(share * len(scores)))


def test_ties_stand_at_their_expected_place() -> None:
    data = bazaar(0, 30, 130)
    case = Case(0, tuple(range(10)), (True, *[False] * 9))
    values = ndcg([case], [np.zeros(10)], data, (1, 5, 10))
    assert [round(values[f"ndcg@{k}"][0], 3) for k in (1, 5, 10)] == [0.1, 0.295, 0.454]


def test_kendall_of_an_order_with_itself_its_reverse_and_no_order() -> None:
    a = np.array([3.0, 2.0, 1.0])
    assert (kendall(a, a), kendall(a, -a)) == (pytest.approx(1), pytest.approx(-1))
    assert kendall(a, np.array([3.0, 1.0, 2.0])) == pytest.approx(1 / 3)
    assert np.isnan(kendall(a, np.zeros(3)))


def test_ranks_by_place_alone_have_a_share_of_one_and_ranks_by_item_alone_of_none() -> None:
    rng = np.random.default_rng(0)
    by_place = np.tile(np.linspace(0, 1, 10), (50, 4, 1))
    assert position_shares(by_place)[0] == pytest.approx(np.ones(50))
    by_item = np.array([[np.roll(items, -turn * 2) for turn in range(5)] for items in
                        (rng.permutation(10) / 9 for _ in range(400))])  # fmt: skip
    assert abs(np.mean(position_shares(by_item)[0])) < 0.01


def test_a_row_that_never_differs_or_never_answers_has_no_position_share() -> None:
    table = np.full((5, 2, 4), 0.5)
    table[3] = np.nan
    assert np.isnan(position_shares(table)[0]).all()


def test_distances_of_distributions_run_from_nothing_to_one() -> None:
    a, b = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 1.0])
    assert (total_variation(a, a), total_variation(a, b)) == (0, 1)
    assert (jensen_shannon(a, a), jensen_shannon(a, b)) == (0, pytest.approx(1))
    assert jensen_shannon(np.array([1.0, 0]), np.array([0.5, 0.5])) == pytest.approx(0.3112781)


def test_calibration_takes_kindness_away_and_learns_nothing_from_silence() -> None:
    rng = np.random.default_rng(0)
    own = [rng.choice([1.0, 2, 3, 4, 5], 40) for _ in range(100)]
    kind = [np.clip(values * 0.25 + 3.75, 1, 5) for values in own]
    scale = Scale(1, 5, 1)
    mended = to_error([*kind, None], [*own, own[0]], [*kind, kind[0]], scale)
    before = np.mean([np.abs(k - o).mean() for k, o in zip(kind, own, strict=True)])
    after = np.mean([np.abs(m - o).mean() for m, o in zip(mended, own, strict=False) if m is not None])
    assert before > 1
    assert after < 0.1
    assert mended[-1] == pytest.approx(np.clip(kind[0] - np.mean(np.concatenate(kind) - np.concatenate(own)), 1, 5))
    assert to_error([None], [own[0]], [None], scale) == [None]


def test_a_model_that_foretells_nothing_is_calibrated_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    own = [rng.choice([1.0, 2, 3, 4, 5], 40) for _ in range(300)]
    noise = [rng.uniform(1, 5, 40) for _ in own]
    mended = to_error(noise, own, noise, Scale(1, 5, 1))
    assert max(float(np.ptp(values)) for values in mended if values is not None) < 0.2


def test_calibration_for_spread_gives_a_user_the_ratings_that_user_gives_in_the_same_order() -> None:
    past, new = np.array([4.0, 4.2, 4.4, 4.6]), np.array([4.1, 4.3, 4.5, 4.7])
    known = np.array([1.0, 1, 1, 1, 5, 5, 5, 5])
    [found] = to_distribution([past], [known], [new])
    assert found is not None
    assert found.tolist() == [1, 1, 5, 5]
    assert to_distribution([past], [known], [None]) == [None]
    [tied] = to_distribution([None], [np.array([1.0, 3, 5])], [np.full(4, 4.0)])
    assert tied is not None
    assert tied.tolist() == [3] * 4


def test_the_content_rule_goes_by_what_was_taken_last_and_not_by_popularity() -> None:
    data = bazaar(0, 60, 200)
    rule = content(data)
    same = [i for i, c in enumerate(data.items["categories"]) if c and c == data.items["categories"][0]]
    other = [i for i, c in enumerate(data.items["categories"]) if c and c != data.items["categories"][0]]
    scores = rule.scores([same[0]] * 10, [same[1], other[0]])
    assert scores[0] > scores[1]
    assert rule.scores([], [1, 2]).tolist() == [0, 0]


def test_a_list_without_differences_is_standardised_to_nothing() -> None:
    assert standard(np.ones(4)).tolist() == [0, 0, 0, 0]
    assert standard(np.array([1.0, 3.0])).tolist() == [-1, 1]
