"""Worlds with one right answer: a taste that changes, a rewrite that unlearns, a list that is dealt anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from recloop.agents.agent import Tally
from recloop.agents.setwise.state import SetwiseState, walk_counts

from tests.agents.setwise.walks import Person, claim, of, right, start, walk, wrong

# --- a taste that changes ---------------------------------------------------------------------------------------------

KITES, POTS = range(100, 108), range(200, 240)


def changing(steps: int) -> SetwiseState:
    """Eight kites, then `steps` lists of one pot, which is taken, and three kites, which are not."""
    walks = [{"positive": 1, "candidates": [300 + 10 * s, 200 + s, 301 + 10 * s, 302 + 10 * s]} for s in range(steps)]
    facts = {item: f"kite {item}" for item in KITES} | {item: f"pot {item}" for item in POTS}
    facts |= {item: f"kite {item}" for one in walks for item in one["candidates"] if item >= 300}  # type: ignore[attr-defined]
    return {"user": 7, "user_id": 7, "catalogue": "", "seed_history": list(KITES), "steps": walks, "facts": facts}  # type: ignore[typeddict-item]


class ByCount(Person):
    """Believes what most claims say; claims one thing a choice, and keeps every claim it was shown."""

    def __init__(self) -> None:
        super().__init__(liking=lambda profile, text: float(Counter(profile.split())[text.split()[0]]))

    def describe(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        return {"claims": [claim(f"a {text}", shown, handle) for handle, text in shown["liked"].items()]}

    def revise_profile(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        kept = [claim(text, shown, handle) for handle, text in shown["claims"].items()]
        return {
            "lesson": "so",
            "claims": [claim(f"a {shown['options'][shown['chosen']]}", shown, shown["chosen"]), *kept],
        }


def firsts(payload: Mapping[str, Any]) -> list[int]:
    """The place that the merged order of each step's first round gives the item chosen, 0 the best."""
    return [step["rounds"][0]["order"].index(step["positive"]) for step in payload["steps"]]


async def test_who_forgets_follows_a_taste_that_changes_and_who_does_not_stays_with_the_old_one() -> None:
    shape: dict[str, Any] = {
        "candidates": 4,
        "set_size": 4,
        "stride": 4,
        "rounds": 1,
        "paths": ("user",),
        "half_life": 2.0,
    }
    found = {}
    for below in (0.2, 0.0):
        found[below] = await walk(ByCount(), of(**shape, forget_below=below), state=changing(6))
    forgetful, faithful = found[0.2], found[0.0]
    assert firsts(faithful) == [3] * 6
    assert firsts(forgetful)[0] == 3
    assert firsts(forgetful)[-1] == 0
    assert not any("kite" in one["text"] for one in forgetful["claims"])
    assert {one["text"] for one in forgetful["forgotten"]} >= {f"a kite {item}" for item in KITES}
    assert sum("kite" in one["text"] for one in faithful["claims"]) == 8
    assert faithful["forgotten"] == []
    assert walk_counts(forgetful)["forgotten"] >= 8


async def test_a_claim_that_later_choices_bear_out_is_not_forgotten() -> None:
    """The first claim names what is taken at each step, so it is credited each time and outlives the others."""

    class Steady(Person):
        def describe(self, shown: Mapping[str, Any]) -> dict[str, Any]:
            *others, last = shown["liked"]
            return {"claims": [claim("right things", shown, last), *(claim(f"aside {h}", shown, h) for h in others)]}

        def assess(self, shown: Mapping[str, Any]) -> dict[str, Any]:
            named = [h for h, text in shown["claims"].items() if text == "right things"]
            return {**super().assess(shown), "claims": named}

    state = changing(8)
    state["facts"] |= {item: f"right pot {item}" for item in POTS}
    payload = await walk(Steady(liking=right), of(half_life=2.0, forget_below=0.2), state=state)
    assert [one["text"] for one in payload["claims"]] == ["right things"]
    assert len(payload["claims"][0]["evidence"]) == 9
    assert payload["claims"][0]["importance"] > 0.99


# --- a rewrite that unlearns ------------------------------------------------------------------------------------------


def unlearning(profile: str, text: str) -> float:
    """The first profile is right about the first list and wrong about the second; the second one is the contrary."""
    first_list = "10" in text.split()[-1][:2]
    return right(profile, text) if first_list == ("first" in profile) else wrong(profile, text)


@pytest.mark.parametrize("replay", [0, 1, 5])
async def test_a_rewrite_that_unlearns_an_earlier_list_is_kept_only_where_that_is_not_asked(replay: int) -> None:
    person, tally = Person(liking=unlearning), Tally()
    payload = await walk(person, of(replay=replay, rounds=1), state=start(2), tally=tally)
    round_ = payload["steps"][1]["rounds"][1]
    assert [r["mismatch"] for r in payload["steps"][1]["rounds"]] == [1.0, 0.0]
    assert round_["kept"] == (replay == 0)
    assert payload["profile"] == ("second profile." if replay == 0 else "first profile.")
    if replay:
        assert round_["replayed"] == {"steps": [0], "before": [0.0], "after": [1.0]}
        assert walk_counts(payload)["rolled_back_by_replay"] == 1
    # The true item lies in two of the four pairs: two calls with the rewrite, two without.
    assert person.count("assess") == 3 * 4 + (4 if replay else 0)
    assert tally.calls == sum(person.counts.values())


async def test_a_rewrite_that_is_rolled_back_anyway_costs_no_replay() -> None:
    person = Person(liking=lambda p, t: right(p, t) if "first" in p and "10" in t else -1.0 * t.startswith("right"))
    await walk(person, of(replay=3, rounds=1, tau=0.0), state=start(1))
    assert person.count("assess") == 4


async def test_earlier_lists_are_judged_in_another_order() -> None:
    person = Person(liking=unlearning)
    await walk(person, of(replay=1, rounds=1), state=start(2))
    orders = [
        tuple(request.facts.values["options"].values())
        for request in person.asked
        if request.facts is not None and request.facts.kind == "assess"
    ]
    of_first = [order for order in orders if any(text.endswith(" 101") for text in order)]
    assert {order[::-1] for order in of_first[:2]} <= set(of_first[2:])


# --- a list dealt anew ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deal", ["same", "fresh"])
async def test_handles_and_neighbours_differ_between_rounds_where_the_list_is_dealt_anew(deal: Any) -> None:
    shape: dict[str, Any] = {"candidates": 10, "set_size": 5, "stride": 5, "rounds": 2}
    payload = await walk(Person(liking=wrong), of(**shape, deal=deal))
    rounds = payload["steps"][0]["rounds"]
    assert len(rounds) == 3
    sets = [{frozenset(one["shown"]) for one in round_["sets"]} for round_ in rounds]
    shown = [[one["shown"] for one in round_["sets"]] for round_ in rounds]
    assert sets[0] == {frozenset(range(5)), frozenset(range(5, 10))}
    assert all(sorted(place for one in round_ for place in one) == list(range(10)) for round_ in shown)
    assert (shown[0] == shown[1] == shown[2]) == (deal == "same")
    assert (sets[0] == sets[1]) == (deal == "same")


async def test_two_dealings_judge_every_item_twice_and_are_the_same_every_time() -> None:
    shape: dict[str, Any] = {"candidates": 10, "set_size": 5, "stride": 5, "dealings": 2, "rounds": 0}
    first, again = [await walk(Person(), of(**shape)) for _ in range(2)]
    assert first == again
    judged = Counter(place for one in first["steps"][0]["rounds"][0]["sets"] for place in one["shown"])
    assert judged == dict.fromkeys(range(10), 2)
