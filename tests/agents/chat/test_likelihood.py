"""What a score is: the whole, a token's share, the first token; and the scripted Likelihood of tests."""

from __future__ import annotations

import math

import pytest
from recloop.agents.chat.likelihood import Scored, ScoringRequest, scripted_likelihood, yes_share


def test_the_three_views_of_a_score() -> None:
    one = Scored("Red Kite", ("Red", " Kite"), (-1.0, -3.0))
    assert (one.total, one.per_token, one.first) == (-4.0, -2.0, -1.0)
    empty = Scored("", (), ())
    assert empty.total == 0
    assert math.isnan(empty.per_token)
    assert math.isnan(empty.first)


async def test_a_script_answers_by_the_question() -> None:
    async def later(question: ScoringRequest) -> list[list[float]]:
        return [[-float(len(text))] for text in question.continuations]

    for script in (later, lambda question: [[-float(len(text))] for text in question.continuations]):
        [row] = await scripted_likelihood(script)([ScoringRequest("?", ("Red Kite", "Pot"))])
        assert [(one.tokens, one.total) for one in row] == [(("Red",), -8.0), (("Pot",), -3.0)]


async def test_a_script_with_too_few_scores_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        await scripted_likelihood(lambda question: [[-1.0]])([ScoringRequest("?", ("a", "b"))])


@pytest.mark.parametrize(("yes", "no", "share"), [(-1.0, -1.0, 0.5), (0.0, -2000.0, 1.0), (-2000.0, 0.0, 0.0)])
def test_a_share_stays_in_its_range(yes: float, no: float, share: float) -> None:
    assert yes_share([Scored("Yes", ("Yes",), (yes,)), Scored("No", ("No",), (no,))]) == pytest.approx(share)
