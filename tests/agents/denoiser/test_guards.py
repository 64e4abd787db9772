"""Each guard in a world with one right answer: a cold item, a new interest at the end, an edit budget, a vote."""

import numpy as np
import pytest
from recloop.agents.denoiser.config import Guards
from recloop.agents.denoiser.evidence import CollaborativeEvidence
from recloop.agents.denoiser.guards import guarded, is_new_interest, score_of, within_budget

from tests.recsys.denoising.worlds import EACH, tastes

KITES, ROBOTS = list(range(8)), [EACH, EACH + 1, EACH + 2]


def near_of(sequence: list[int]) -> np.ndarray:
    """1 within a kind, 0 across."""
    kind = np.array(sequence) // EACH
    near = (kind[:, None] == kind[None, :]).astype(float)
    np.fill_diagonal(near, 0)
    return near


def decided(sequence: list[int], doubts: list[float], votes: list[float | None], **guards: float) -> tuple:
    _, edited, spared = guarded(doubts, votes, near_of(sequence), Guards(**guards), 0.5, 0.7)
    return edited, spared


def test_a_stranger_in_the_middle_is_noise() -> None:
    sequence = [*KITES[:4], ROBOTS[0], *KITES[4:]]
    doubts = [0.1] * 4 + [0.95] + [0.1] * 4
    assert decided(sequence, doubts, [0.1] * 4 + [0.9] + [0.1] * 4) == ([4], {})


def test_a_new_interest_at_the_end_stays_and_a_lone_stranger_there_does_not() -> None:
    begun = [*KITES, *ROBOTS[:2]]
    doubts, votes = [0.1] * 8 + [0.95, 0.9], [0.1] * 8 + [0.9, 0.9]
    assert decided(begun, doubts, votes) == ([], {8: "new_interest", 9: "new_interest"})
    assert decided(begun, doubts, votes, recent=0) == ([8, 9], {})
    alone = [*KITES, ROBOTS[0]]
    assert decided(alone, [0.1] * 8 + [0.95], [0.1] * 8 + [0.9]) == ([8], {})


def test_an_old_interest_taken_up_again_begins_nothing() -> None:
    near = near_of([*ROBOTS, *KITES[:3]])
    assert not is_new_interest(1, near, 3)
    assert is_new_interest(4, near, 3)
    assert not is_new_interest(4, np.zeros((6, 6)), 3)
    assert not is_new_interest(2, near_of(KITES[:3]), 3)


def test_a_cold_item_is_not_voted_out_but_a_sure_model_may_doubt_it() -> None:
    sequence = [*KITES[:4], ROBOTS[0], *KITES[4:]]
    votes: list[float | None] = [0.1] * 4 + [None] + [0.1] * 4
    assert decided(sequence, [0.1] * 4 + [0.85] + [0.1] * 4, votes) == ([], {4: "cold"})
    assert decided(sequence, [0.1] * 4 + [0.95] + [0.1] * 4, votes) == ([4], {})


def test_under_a_budget_a_cold_item_does_not_come_before_one_that_a_vote_speaks_against() -> None:
    sequence = [*KITES, *ROBOTS[:2]]
    doubts, votes = [0.95, 0.92, *[0.1] * 8], [None, 0.9, *[0.1] * 8]
    assert decided(sequence, doubts, votes, budget=0.1) == ([1], {0: "budget"})
    assert decided(sequence, doubts, votes, budget=0.2) == ([0, 1], {})


def test_no_more_is_edited_than_the_budget_allows_and_the_most_doubted_first() -> None:
    sequence = [*KITES, *ROBOTS[:2]]
    doubts, votes = [0.8, 0.95, 0.9, *[0.1] * 7], [0.8, 0.95, 0.9, *[0.1] * 7]
    assert decided(sequence, doubts, votes, budget=0.2) == ([1, 2], {0: "budget"})
    assert decided(sequence, doubts, votes, budget=0.0)[0] == []
    assert within_budget([0.9, 0.9, 0.9], [0, 1, 2], 3, 0.1) == [0]


def test_a_vote_can_save_and_condemn() -> None:
    assert score_of(0.8, 0.0, 0.5) == pytest.approx(0.4)
    assert score_of(0.6, 1.0, 0.5) == pytest.approx(0.8)
    assert score_of(0.6, None, 0.5) == 0.6


def test_the_vote_is_against_the_stranger_and_does_not_count_its_own_user() -> None:
    data = tastes([[0, 1, 2, EACH, 3, 4]])
    evidence = CollaborativeEvidence.of(data)
    items = data.history(1).astype(np.int64)
    votes = evidence.votes("u0", items, cold=0)
    assert np.argmax(votes) == 3
    assert votes[3] > 0.9
    assert (evidence.others("nobody", items) - evidence.others("u0", items)).tolist() == [1.0] * 6
    assert evidence.votes("u0", items, cold=1000) == [None] * 6
    offered = evidence.candidates("u0", items[[0, 1, 2]], items.tolist(), 3)
    assert len(offered) == 3
    assert all(item < EACH and item not in items for item in offered)
