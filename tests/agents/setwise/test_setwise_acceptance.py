"""The acceptance test: a rewrite without effect is rarely kept, one that helps is, and both are judged alike."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from recloop.agents.agent import Tally
from recloop.agents.setwise import Setwise, SetwiseAgent
from recloop.agents.setwise.judgement import decision, distinct_sets, noop_acceptance
from recloop.agents.setwise.state import SetwiseState, noop_share, walk_counts
from recloop.recsys.data import Dataset
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.data.splits import leave_last_out

from tests.agents.setwise.noise import noise_counts
from tests.agents.setwise.walks import Person, of, right, start, walk, wrong

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "deal: same": {"deal": "same"},
    "sets of 4": {"set_size": 4, "stride": 2},
    "replay: 2": {"replay": 2},
    "point-wise": {"set_size": 1, "stride": 1},
}


@pytest.fixture(scope="module")
def train() -> Dataset:
    return leave_last_out(bazaar(seed=0, users=40, items=300)).train


@pytest.fixture(scope="module")
def noise(train: Dataset) -> dict[str, dict[str, float]]:
    return {name: noise_counts(train, Setwise(**settings)) for name, settings in SETTINGS.items()}


# --- a judge that knows nothing ---------------------------------------------------------------------------------------


def test_of_the_rewrites_of_a_random_judge_at_most_one_in_ten_is_accepted(noise: dict[str, dict[str, float]]) -> None:
    rewrites, accepted = (sum(counts[name] for counts in noise.values()) for name in ("rewrites", "kept"))
    assert rewrites > 800
    assert accepted <= 0.1 * rewrites


@pytest.mark.parametrize("name", SETTINGS)
def test_the_expected_share_stands_beside_and_agrees_with_what_a_random_judge_gets(
    noise: dict[str, dict[str, float]], name: str
) -> None:
    counts, config = noise[name], Setwise(**SETTINGS[name])
    expected = noop_share(counts, config.wins, config.held_back)
    assert 0.03 < expected <= 0.1
    # Four standard errors of a share near .08 of so many rewrites.
    assert abs(counts["kept"] / counts["rewrites"] - expected) < 4 * (0.08 * 0.92 / counts["rewrites"]) ** 0.5


def test_a_random_judge_lowers_no_mismatch_by_selection_alone(noise: dict[str, dict[str, float]]) -> None:
    assert noise["default"]["first_mismatch"] == pytest.approx(0.5, abs=0.08)
    assert noise["default"]["kept_mismatch"] > noise["default"]["first_mismatch"] - 0.06


def test_without_held_back_lists_more_than_half_of_the_noise_is_accepted(train: Dataset) -> None:
    counts = noise_counts(train, Setwise(held_back=0))
    assert counts["kept"] > 0.5 * counts["rewrites"]


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([], [], None),
        ([0.5], [0.25], None),
        ([0.5, 0.5, 0.5], [0.25, 0.25, 0.0], True),
        ([0.5, 0.5], [0.25, 0.75], False),
        ([0.5], [0.75], False),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.0], None),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], False),
        ([0.5] * 5, [0.5, 0.25, 0.5, 0.25, 0.25], True),
        ([0.5] * 5, [0.5, 0.25, 0.5, 0.25, 0.5], False),
    ],
)
def test_three_lists_must_improve_before_one_worsens(before: list[float], after: list[float], verdict: Any) -> None:
    assert decision(before, after, wins=3, lists=5) is verdict


@pytest.mark.parametrize(("ties", "wins", "lists"), [(0.2, 3, 5), (0.0, 3, 5), (0.5, 2, 4), (0.25, 1, 1), (0.3, 3, 3)])
def test_the_share_of_accepted_no_ops_is_the_sum_over_all_outcomes(ties: float, wins: int, lists: int) -> None:
    chance = {0: ties, 1: (1 - ties) / 2, -1: (1 - ties) / 2}
    total = 0.0
    for outcomes in itertools.product(chance, repeat=lists):
        verdict, weight = None, 1.0
        for outcome in outcomes:
            weight *= chance[outcome]
        for number in range(1, lists + 1):
            after = [0.5 - 0.25 * outcome for outcome in outcomes[:number]]
            verdict = decision([0.5] * number, after, wins, lists)
            if verdict is not None:
                break
        total += weight * bool(verdict)
    assert noop_acceptance(ties, wins, lists) == pytest.approx(total)
    assert total <= 0.5**wins + 1e-12


@pytest.mark.parametrize(("pool", "size", "made"), [(20, 4, 5), (6, 4, 5), (4, 4, 1), (3, 4, 0), (1, 1, 1)])
def test_no_two_held_back_lists_are_equal_however_small_the_catalogue(pool: int, size: int, made: int) -> None:
    count = 5
    sets = distinct_sets(range(pool), size, count, np.random.default_rng(0))
    assert len(sets) == len({frozenset(one) for one in sets}) == made
    assert all(len(set(one)) == size for one in sets)
    if pool >= size * count:
        assert len({item for one in sets for item in one}) == size * count


def test_more_wins_than_lists_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wins \(4\) cannot be more than the 3 held-back lists"):
        Setwise(held_back=3, wins=4)


# --- rewrites that help, and that do not ------------------------------------------------------------------------------


def held_back(state: SetwiseState, count: int = 10) -> SetwiseState:
    """The walk with so many further items for each step, "wrong thing ..." like the others."""
    facts = dict(state["facts"])
    for number, step in enumerate(state["steps"]):
        step["held_back"] = list(range(5000 + 100 * number, 5000 + 100 * number + count))
        facts |= {item: f"wrong thing {item}" for item in step["held_back"]}
    return {**state, "facts": facts}


def learnt(profile: str, text: str) -> float:
    return right(profile, text) if "learnt" in profile else wrong(profile, text)


async def test_a_rewrite_that_helps_on_held_back_lists_is_kept() -> None:
    tally = Tally()
    person = Person(liking=learnt, profiles=("learnt it",))
    payload = await walk(person, of(held_back=5), state=held_back(start()), tally=tally)
    entry = payload["steps"][0]["rounds"][1]
    assert entry["kept"]
    assert entry["tested"] == {"before": [1.0] * 3, "after": [0.0] * 3, "passed": True}
    assert walk_counts(payload)["test_lists"] == 3
    # Four sets, twice, and three lists with either wording.
    assert person.count("assess") == 2 * 4 + 2 * 3
    assert tally.calls == sum(person.counts.values())


async def test_a_rewrite_that_helps_on_its_own_list_alone_is_rolled_back() -> None:
    """It ranks right only where the items are those that it was written from."""

    class Memorised(Person):
        def assess(self, shown: Any) -> dict[str, Any]:
            own = all(int(text.split()[2]) < 5000 for text in shown["options"].values())
            self.liking = learnt if own else wrong
            return super().assess(shown)

    payload = await walk(Memorised(profiles=("learnt it",)), of(held_back=5), state=held_back(start()))
    entry = payload["steps"][0]["rounds"][1]
    assert (entry["mismatch"], entry["kept"]) == (0.0, False)
    assert walk_counts(payload)["rolled_back_by_test"] == 1
    assert payload["profile"] == "first profile."


async def test_both_wordings_are_judged_on_the_same_sets_in_the_same_order() -> None:
    person = Person(liking=learnt, profiles=("learnt it",))
    await walk(person, of(held_back=5, paths=("user",)), state=held_back(start()))
    tests = [
        (tuple(request.facts.values["options"].values()), tuple(request.facts.values["claims"].values()))
        for request in person.asked
        if request.facts is not None
        and request.facts.kind == "assess"
        and any(int(text.split()[2]) >= 5000 for text in request.facts.values["options"].values())
    ]
    assert len(tests) == 6
    for (options, old), (same_options, new) in zip(tests[::2], tests[1::2], strict=True):
        assert options == same_options
        assert {old, new} == {("first profile",), ("learnt it",)}
    assert len({options for options, _ in tests}) > 1


async def test_a_rewrite_that_changes_nothing_costs_no_list_and_is_not_kept() -> None:
    person = Person(liking=wrong, first="same", profiles=("same",))
    config = of(held_back=5, paths=("user",), evidence=False, rounds=1)
    payload = await walk(person, config, state=held_back(start()))
    assert payload["steps"][0]["rounds"][1]["tested"] in (
        {"before": [], "after": [], "passed": False},
        {"before": [1.0] * 3, "after": [1.0] * 3, "passed": False},
    )
    assert not payload["steps"][0]["rounds"][1]["kept"]


def test_held_back_items_are_neither_taken_by_the_user_nor_on_the_list(train: Dataset) -> None:
    for task in itertools.islice(SetwiseAgent(Setwise(walk=3)).tasks(train), 5):
        history = set(train.history(task.state["user"]).tolist())
        for step in task.state["steps"]:
            assert len(set(step["held_back"])) == 5 * 4
            assert not set(step["held_back"]) & (history | set(step["candidates"]))
            assert set(step["held_back"]) <= set(task.state["facts"])
