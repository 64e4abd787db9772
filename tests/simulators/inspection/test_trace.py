"""`runs trace` tells a walk to somebody who has not seen the code: what was shown, thought and rewritten, and why."""

import json
from typing import Any

import pandas as pd
import pytest
from recloop.agents.setwise import Setwise
from recloop.agents.setwise.state import SetwiseState, counts_of
from recloop.simulators.inspection.trace import _trace
from recloop.simulators.inspection.trace_steps import when

from tests.agents.setwise.test_setwise_change import ByCount, changing, unlearning
from tests.agents.setwise.test_setwise_claims import Careless
from tests.agents.setwise.walks import Person, of, start, walk, wrong


async def told(person: Person, config: Setwise, state: SetwiseState) -> str:
    """The text of one walk; the items' texts are those of the walk."""
    payload = await walk(person, config, state=state)
    row: dict[str, Any] = {"key": "user:7", "status": "ok", "payload": json.dumps(payload), "error": ""}
    row |= {"calls": 9, "prompt_tokens": 1000, "completion_tokens": 234, "model": "scripted"}
    text: str = _trace(pd.Series(row), {item: f"{fact} | facts" for item, fact in state["facts"].items()})["text"]
    return text


async def test_a_rewrite_is_told_with_its_lesson_its_claims_and_what_they_rest_on() -> None:
    text = await told(Person(liking=wrong), of(rounds=1), start())
    for part in (
        "user:7: 1 steps, 9 calls, 1,234 tokens, answered by scripted",
        "STEP 1. The person took: right thing 101",
        "   * [2] right thing 101",
        "P1 first profile",
        "importance 0.50; rests on 1 before took a seed thing",
        "ROUND 0. Judged by the profile as it stood, 1 claims",
        "set 1: A[1] 1.00 > B[2]* 0.90",
        "because A it is",
        "by P1 first profile",
        "mismatch 1.000; the item chosen stands at place 4 of 4",
        "lesson: lesson 1",
        "P1 second profile",
        "importance 1.00; rests on step 1 took right thing 101",
        "[2] described anew: rewritten A",
        "=> KEPT, the mismatch did not rise (1.000 before)",
        "THE PROFILE IN THE END:",
    ):
        assert part in text


async def test_what_was_dropped_forgotten_and_rolled_back_is_told_with_its_reason() -> None:
    dropped = await told(Careless(liking=wrong), of(rounds=1), start())
    assert "DROPPED (cites no evidence): pots" in dropped
    assert "DROPPED (cites H99, never shown): jars" in dropped
    assert "DROPPED (cites no evidence): out of thin air" in dropped
    assert "profile as it was" in dropped
    forgotten = await told(ByCount(), of(half_life=2.0, forget_below=0.2, rounds=1), changing(4))
    assert "forgotten, strength 0.03, nothing since 8 before bore it out: a kite 100" in forgotten
    replayed = await told(Person(liking=unlearning), of(replay=1, rounds=1), start(2))
    assert (
        "=> ROLLED BACK, earlier lists fared worse (1.000 before); of 1 earlier list(s) in another order: " in replayed
    )
    assert "0.000 before, 1.000 now" in replayed


async def test_a_description_that_came_to_rest_and_a_claim_borne_out_are_trace() -> None:
    swing = Person(liking=wrong, semantics=("red kite tail", "blue pot mouth", "red kite tail"))
    text = await told(swing, of(rounds=3), start())
    assert "described anew for good, for it swung: red kite tail A" in text
    assert "settled for good, for they swung:" in text
    borne = await told(Person(), of(), start())
    assert "borne out, and step 1 is evidence now: first profile" in borne


async def test_no_line_is_longer_than_a_terminal_of_120_columns_shows() -> None:
    state = start(2)
    state["facts"] = {item: f"{text} {'and so on ' * 40}" for item, text in state["facts"].items()}
    text = await told(Person(liking=wrong, first="many words " * 60), of(), state)
    assert max(map(len, text.splitlines())) <= 120
    assert (when(0), when(3), when(-2)) == ("step 1", "step 4", "2 before")


async def test_the_counts_of_many_walks_are_summed_and_other_records_passed_over() -> None:
    payload = json.dumps(await walk(Careless(liking=wrong), of(rounds=1)))
    row = {"agent": "setwise", "status": "ok", "payload": payload}
    rows = [row, row, {**row, "status": "failed", "payload": ""}, {**row, "agent": "another", "payload": "{}"}]
    counts = counts_of(pd.DataFrame(rows))
    assert (counts["claims"], counts["uncited"], counts["unshown"], counts["kept"]) == (8, 4, 2, 2)
    assert counts_of(pd.DataFrame(rows[2:])) == {}


@pytest.mark.parametrize("status", ["failed", "invalid"])
def test_a_walk_that_came_to_nothing_says_why(status: str) -> None:
    row = pd.Series({"key": "user:7", "status": status, "error": "gone", "payload": ""})
    assert _trace(row, {})["text"] == f"user:7: {status}: gone"
