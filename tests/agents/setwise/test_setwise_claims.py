"""Claims: only what cites something shown is admitted; strength follows evidence, surprise and age; what fades goes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from recloop.agents.agent import Tally
from recloop.agents.chat.schemas import strict_schema
from recloop.agents.setwise.judgement import assessment_reply
from recloop.agents.setwise.reflection import (
    Cited,
    Claim,
    ClaimDraft,
    admitted,
    claim_drafts,
    credited,
    faded,
    medoid,
    profile_reply,
    profile_text,
    reflection_reply,
    settle,
    within,
)
from recloop.agents.setwise.state import walk_counts

from tests.agents.setwise.walks import Person, claim, of, walk, wrong

OLD, MID, NEW = Cited(5, -3, True), Cited(6, -1, True), Cited(7, 2, True)
SHOWN = {
    "H1": Claim("", (OLD,)),
    "P1": Claim("likes kites", (OLD, MID), -1, 0, 0.5),
    "A": Claim("", (NEW,), 2, 1, 0.8),
}

# --- admission --------------------------------------------------------------------------------------------------------


def test_a_claim_without_evidence_and_one_that_cites_what_was_not_shown_are_dropped_and_told_apart() -> None:
    found, dropped = admitted(
        [ClaimDraft("likes kites", ("H1",)), ClaimDraft("likes pots", ()), ClaimDraft("likes jars", ("H9", "Z"))], SHOWN
    )
    assert [claim.text for claim in found] == ["likes kites"]
    assert [(one.text, one.why, one.named) for one in dropped] == [
        ("likes pots", "uncited", ()),
        ("likes jars", "unshown", ("H9", "Z")),
    ]


def test_a_handle_that_was_not_shown_is_taken_off_a_claim_that_has_others() -> None:
    [found], dropped = admitted([ClaimDraft("likes kites", ("H9", "H1"))], SHOWN)
    assert found.evidence == (OLD,)
    assert dropped == ()


def test_a_claim_inherits_the_evidence_of_the_earlier_claim_it_cites_and_stays_as_old_as_that() -> None:
    [kept, mended], _ = admitted(
        [ClaimDraft("likes kites, still", ("P1",)), ClaimDraft("kites and pots", ("P1", "A"))], SHOWN
    )
    assert (kept.evidence, kept.step, kept.surprise, kept.latest) == ((OLD, MID), -1, 0.5, -1)
    assert (mended.evidence, mended.step, mended.round, mended.surprise) == ((OLD, MID, NEW), 2, 1, 0.8)


def test_two_claims_of_one_text_become_one_with_the_evidence_of_both() -> None:
    [found], _ = admitted([ClaimDraft("Likes kites", ("H1",)), ClaimDraft("likes  KITES", ("A",))], SHOWN)
    assert (found.text, found.evidence) == ("Likes kites", (OLD, NEW))


def test_without_evidence_every_claim_is_admitted() -> None:
    found, dropped = admitted([ClaimDraft("likes pots", ())], {}, evidence=False, step=3, round=1)
    assert [(c.text, c.evidence, c.step, c.round) for c in found] == [("likes pots", (), 3, 1)]
    assert dropped == ()


# --- strength ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "surprise", "importance"), [((OLD,), 0, 0.5), ((OLD, MID), 0, 0.75), ((OLD,), 0.8, 0.9), ((), 0, 0.5)]
)
def test_importance_by_hand(evidence: Any, surprise: float, importance: float) -> None:
    assert Claim("x", evidence, surprise=surprise).importance == pytest.approx(importance)


def test_strength_is_halved_with_each_half_life_since_the_newest_evidence() -> None:
    two = Claim("x", (OLD, MID))
    assert [two.strength(now, 5) for now in (-1, 4, 9)] == pytest.approx([0.75, 0.375, 0.1875])


def test_the_weak_are_forgotten_the_others_stand_strongest_first() -> None:
    old, new, strong = Claim("old", (OLD,)), Claim("new", (NEW,)), Claim("strong", (OLD, MID, NEW))
    assert faded([old, new, strong], 2, 2.0, 0.2) == ((strong, new), (old,))
    assert faded([old, new, strong], 2, 2.0, 0.0) == ((strong, new, old), ())


@given(st.lists(st.tuples(st.integers(-9, 9), st.floats(0, 1)), max_size=8), st.floats(0, 0.9), st.integers(0, 20))
def test_nothing_is_lost_between_kept_and_forgotten(rows: Any, below: float, now: int) -> None:
    claims = [Claim(f"c{place}", (Cited(place, at, True),), surprise=s) for place, (at, s) in enumerate(rows)]
    kept, gone = faded(claims, now, 3.0, below)
    assert sorted(c.text for c in (*kept, *gone)) == sorted(c.text for c in claims)
    strengths = [c.strength(now, 3.0) for c in (*kept, *gone)]
    assert strengths == sorted(strengths, reverse=True)


def test_a_choice_foretold_keeps_a_claim_young() -> None:
    claims = credited([Claim("kites", (OLD,)), Claim("pots", (MID,))], [1], NEW)
    assert [c.latest for c in claims] == [-3, 2]
    assert claims[1].step == 2


def test_weak_claims_are_crowded_out_whole_and_only_the_first_is_ever_cut() -> None:
    claims = [Claim("a b c"), Claim("d e f"), Claim("g")]
    assert within(claims, 4) == ((claims[0], claims[2]), (claims[1],))
    assert within(claims, 2) == ((Claim("a b"),), (claims[1], claims[2]))


def test_the_profiles_text_is_its_claims_as_sentences() -> None:
    assert profile_text([Claim("Likes kites"), Claim("Why not pots?")]) == "Likes kites. Why not pots?"


# --- replies ----------------------------------------------------------------------------------------------------------


def test_handles_are_enumerated_for_the_server_and_read_leniently() -> None:
    reply = profile_reply(("H1", "H2"))
    assert "'enum': ['H1', 'H2']" in str(strict_schema(reply))
    found = reply.model_validate({"claims": [{"text": " likes kites ", "evidence": ["H7"]}]})
    assert claim_drafts(found) == [ClaimDraft("likes kites", ("H7",))]
    with pytest.raises(ValidationError):
        reply.model_validate({"claims": [{"text": "  ", "evidence": []}]})
    with pytest.raises(ValidationError):
        reply.model_validate({"claims": [{"text": "likes kites"}]})


def test_where_no_evidence_is_asked_for_there_is_no_place_for_it() -> None:
    assert "evidence" not in str(strict_schema(profile_reply(())))
    assert claim_drafts(profile_reply(()).model_validate({"claims": [{"text": "x"}]})) == [ClaimDraft("x", ())]
    assert "claims" not in str(strict_schema(assessment_reply(("A", "B"), ())))


def test_a_lesson_is_learnt_before_the_profile_is_rewritten_and_reasons_before_the_ranking() -> None:
    assert list(reflection_reply(("P1",)).model_fields) == ["lesson", "claims"]
    assert list(assessment_reply(("A", "B"), ("P1",)).model_fields) == ["reason", "claims", "ranking"]


# --- in a walk --------------------------------------------------------------------------------------------------------


class Careless(Person):
    """Claims one thing with evidence, one without, and one by a handle nobody was shown; later cites nothing at all."""

    def describe(self, shown: Any) -> dict[str, Any]:
        return {"claims": [claim("kites", shown, "H1"), claim("pots", shown), claim("jars", shown, "H99")]}

    def revise_profile(self, shown: Any) -> dict[str, Any]:
        return {"lesson": "none", "claims": [claim("out of thin air", shown)]}


async def test_claims_without_evidence_are_dropped_and_counted_and_nothing_is_repaired() -> None:
    tally = Tally()
    payload = await walk(Careless(liking=wrong), of(rounds=1), tally=tally)
    assert payload["first_profile"] == payload["profile"] == "kites."
    assert [one["why"] for one in payload["first_dropped"]] == ["uncited", "unshown"]
    assert payload["steps"][0]["rounds"][1]["dropped"][0]["text"] == "out of thin air"
    assert payload["steps"][0]["rounds"][1]["claims"] is None
    counts = walk_counts(payload)
    assert (counts["claims"], counts["uncited"], counts["unshown"]) == (4, 2, 1)
    assert (counts["rewrites"], counts["kept"], tally.repairs) == (1, 1, 0)


async def test_with_evidence_switched_off_the_same_claims_stand() -> None:
    payload = await walk(Careless(liking=wrong), of(rounds=1, evidence=False))
    assert payload["first_profile"] == "kites. pots. jars."
    assert payload["profile"] == "out of thin air."
    assert walk_counts(payload)["uncited"] == 0


# --- descriptions that swing ------------------------------------------------------------------------------------------


def test_a_description_that_goes_back_to_an_earlier_one_is_settled_on_the_medoid() -> None:
    a, b, c = "red kite long tail", "blue pot wide mouth", "red kite short tail"
    assert settle((), a) is None
    assert settle((a,), b) is None
    assert settle((a, b), c) is None
    assert settle((a, b), a) == a
    assert settle((a, b), b) is None
    assert medoid([b, a, c]) == a


async def test_a_swinging_description_comes_to_rest() -> None:
    swing = ("red kite tail", "blue pot mouth", "red kite tail", "blue pot mouth", "red kite tail")
    for settled in (True, False):
        payload = await walk(Person(liking=wrong, semantics=swing), of(rounds=5, settle=settled))
        texts = [round_["semantics"].get("101") for round_ in payload["steps"][0]["rounds"][1:]]
        if settled:
            assert texts == ["red kite tail A", "blue pot mouth A", "red kite tail A", None, None]
            assert payload["settled"] == [100, 101, 102, 103][: len(payload["settled"])]
            assert 101 in payload["settled"]
            assert walk_counts(payload)["settled"] == len(payload["settled"])
        else:
            assert texts == [f"{text} A" for text in swing]
            assert payload["settled"] == []
