"""`offline`: right answers by likeness of words, of the form asked for, the same ones every time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from recloop.agents.chat.handles import handles_for, ranking_reply
from recloop.agents.chat.offline import offline_chat, offline_version
from recloop.agents.chat.offline_setwise import AVERSION
from recloop.agents.chat.structured import valid_reply
from recloop.agents.chat.text_similarity import Rarity, cosine, words
from recloop.agents.chat.types import Facts, Message, Request
from recloop.agents.setwise.judgement import assessment_reply
from recloop.agents.setwise.reflection import descriptions_reply, profile_reply, reflection_reply
from recloop.errors import ModelUnavailable

from tests.agents.chat_contract import ChatContract

CATALOGUE = [
    "Red Kite | Toys, Kites | A kite with a long tail.",
    "Blue Kite | Toys, Kites | A kite for calm days.",
    "Honey Pot | Kitchen, Jars | A glazed pot for honey.",
    "Chess Board | Games, Boards | A board of walnut squares.",
    "Storm Lantern | Camping, Lamps | A lantern that burns in a gale.",
]


class TestOffline(ChatContract):
    @pytest.fixture
    def chat(self) -> Any:
        return offline_chat(CATALOGUE)


def asked(kind: str, shown: dict[str, Any], schema: type[BaseModel]) -> Request:
    return Request((Message("user", "read the facts"),), schema, facts=Facts(kind, shown))


def options(*texts: str) -> dict[str, str]:
    return dict(zip(handles_for(len(texts)), texts, strict=True))


async def answer(kind: str, shown: dict[str, Any], schema: type[BaseModel]) -> Any:
    """The validated answer; a reply of the wrong form fails here, for `offline` would repeat it in the repair turn."""
    request = asked(kind, shown, schema)
    reply = await valid_reply(offline_chat(CATALOGUE), request)
    assert reply.repairs == 0
    return schema.model_validate_json(reply.text)


async def ranked(query: str, *texts: str, notes: tuple[str, ...] = ()) -> list[tuple[str, float]]:
    shown = {"query": query, "notes": list(notes), "options": options(*texts)}
    reply = await answer("rank", shown, ranking_reply(handles_for(len(texts))))
    return [(entry.item, entry.score) for entry in reply.ranking]


async def described(texts: list[str], cap: int, evidence: bool = True) -> Any:
    """The claims of a first profile of these texts, shown as H1, H2, ..."""
    liked = {f"H{number}": text for number, text in enumerate(texts, 1)}
    shown = {"liked": liked, "words": cap, "evidence": evidence}
    return (await answer("describe", shown, profile_reply(tuple(liked) if evidence else ()))).claims


async def revised(claims: dict[str, str], texts: list[str], cap: int, evidence: bool = True) -> Any:
    """The reflection on a set whose first item was chosen though all others stood before it."""
    handles = handles_for(len(texts))
    shown = {"claims": claims, "options": options(*texts), "chosen": "A", "rejected": list(handles[1:])}
    citable = (*claims, *handles) if evidence else ()
    return await answer("revise_profile", {**shown, "words": cap, "evidence": evidence}, reflection_reply(citable))


def handled(claims: Any) -> dict[str, str]:
    return {f"P{number}": claim.text for number, claim in enumerate(claims, 1)}


def text_of(claims: Any) -> str:
    return "\n".join(claim.text for claim in claims)


TEXTS = st.text(max_size=60) | st.sampled_from([*CATALOGUE, "", "Likes kite. Passes over felt.", "not for kites"])


# --- form -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.data())
async def test_whatever_is_shown_the_reply_is_of_the_form_asked_for(data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=6))
    profile, handles, cap = data.draw(TEXTS), handles_for(len(texts)), data.draw(st.integers(5, 200))
    await ranked(profile, *texts, notes=tuple(data.draw(st.lists(TEXTS, max_size=3))))
    claims = {"P1": profile}
    for evidence in (True, False):
        shown: dict[str, Any] = {"claims": claims, "notes": [], "options": options(*texts), "evidence": evidence}
        await answer("assess", shown, assessment_reply(handles, ("P1",) if evidence else ()))
        await described(texts, cap, evidence)
        await revised(claims, texts, cap, evidence)
    items = {handle: {"facts": text, "text": text} for handle, text in zip(handles, texts, strict=True)}
    shown = {"claims": claims, "items": items, "chosen": "A", "words": cap}
    await answer("revise_items", shown, descriptions_reply(handles))


async def test_the_same_question_has_the_same_answer_from_every_instance() -> None:
    shown = {"query": "kites and honey", "notes": [], "options": options(*CATALOGUE)}
    request = asked("rank", shown, ranking_reply(handles_for(5)))
    first, again = [await offline_chat(CATALOGUE)(request) for _ in range(2)]
    assert first == again
    assert (first.cost, first.usage.prompt_tokens) == (0.0, 3)


@pytest.mark.parametrize("kind", ["predict", ""])
async def test_an_unknown_question_is_refused_with_the_known_ones(kind: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"cannot answer.*it answers: rank, assess, describe"):
        await offline_chat()(asked(kind, {}, profile_reply(())))


async def test_a_question_without_facts_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="a question without facts"):
        await offline_chat()(Request((Message("user", "hello"),)))


# --- likeness ---------------------------------------------------------------------------------------------------------


async def test_likeness_decides_wherever_the_item_stands() -> None:
    for place in range(4):
        texts = [CATALOGUE[4], CATALOGUE[3], CATALOGUE[2]]
        texts.insert(place, CATALOGUE[0])
        order = await ranked("Likes kite, tail.", *texts)
        assert order[0][0] == handles_for(4)[place]


async def test_scores_fall_with_the_ranking_and_lie_in_their_range() -> None:
    scores = [score for _, score in await ranked("kite honey pot jar", *CATALOGUE)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.5 > scores[-1] >= 0


async def test_options_that_share_nothing_stay_in_the_order_shown() -> None:
    assert await ranked("umbrella", *CATALOGUE) == [(handle, 0.0) for handle in "ABCDE"]


async def test_what_is_passed_over_counts_against_an_item() -> None:
    texts = ("a kite of silk", "a kite of felt")
    assert [h for h, _ in await ranked("Likes kite.", *texts[::-1])] == ["A", "B"]
    assert [h for h, _ in await ranked("Likes kite. Passes over felt.", *texts[::-1])] == ["B", "A"]
    assert 0 < AVERSION <= 1


async def test_an_aversion_ends_with_its_sentence() -> None:
    order = await ranked("Passes over chess. Likes honey.", "honey pot", "chess board")
    assert order[0][0] == "A"
    assert order[0][1] > order[1][1]


async def test_notes_count_as_the_profile_does() -> None:
    texts = (CATALOGUE[2], CATALOGUE[3])
    assert (await ranked("nothing known", *texts, notes=("chose a chess board",)))[0][0] == "B"
    assert (await ranked("pot and board", *texts, notes=("chose a honey jar rather than chess",)))[0][0] == "A"


def test_plurals_meet_and_common_words_do_not_count() -> None:
    assert words("The Kites of his glass, and PASSES over") == ("kite", "glass")


def test_rare_words_weigh_more() -> None:
    rarity = Rarity(CATALOGUE)
    assert rarity("honey") > rarity("kite") > Rarity([*CATALOGUE, "kite", "kite"])("kite")
    assert cosine({}, {"a": 1.0}) == 0.0
    assert cosine({"a": 2.0}, {"a": 5.0}) == pytest.approx(1.0)


# --- claims and rewrites ----------------------------------------------------------------------------------------------


async def test_a_first_profile_tells_its_items_from_others() -> None:
    claims = await described(CATALOGUE[:2], 100)
    assert (await ranked(text_of(claims), *CATALOGUE[2:], CATALOGUE[0]))[0][0] == "D"


async def test_a_claim_cites_the_choices_that_hold_its_words_and_no_others() -> None:
    claims = await described([CATALOGUE[2], CATALOGUE[0], CATALOGUE[1]], 100)
    assert len(claims) == 3
    assert [claim.evidence for claim in claims if "honey" in claim.text] == [["H1"]]
    assert [sorted(claim.evidence) for claim in claims if "kite" in claim.text] == [["H2", "H3"]] * 2


async def test_an_assessment_names_the_claims_that_decided() -> None:
    claims = {"P1": "Likes honey pot jar.", "P2": "Likes kite tail.", "P3": "Passes over kite."}
    shown = {"claims": claims, "notes": [], "options": options(CATALOGUE[3], CATALOGUE[0]), "evidence": True}
    reply = await answer("assess", shown, assessment_reply(("A", "B"), tuple(claims)))
    assert (reply.ranking[0].item, reply.claims) == ("B", ["P2"])


async def test_the_surest_claims_count_twice() -> None:
    texts = (CATALOGUE[2], CATALOGUE[3])
    for first, second, best in (("honey", "chess", "A"), ("chess", "honey", "B")):
        claims = {"P1": f"Likes {first}.", "P2": f"Likes {first}.", "P3": f"Likes {second}."}
        shown = {"claims": claims, "notes": [], "options": options(*texts), "evidence": True}
        assert (await answer("assess", shown, assessment_reply(("A", "B"), tuple(claims)))).ranking[0].item == best


async def test_a_reflection_turns_the_profile_towards_the_truth() -> None:
    before = await described([CATALOGUE[2]], 100)
    assert (await ranked(text_of(before), CATALOGUE[2], CATALOGUE[3]))[0][0] == "A"
    after = await revised(handled(before), [CATALOGUE[3], CATALOGUE[2]], 100)
    score = dict(await ranked(text_of(before), CATALOGUE[2], CATALOGUE[3]))
    rescored = dict(await ranked(text_of(after.claims), CATALOGUE[2], CATALOGUE[3]))
    assert rescored["B"] > score["B"]
    assert "chess" in after.lesson


async def test_a_reflection_cites_what_it_keeps_what_was_chosen_and_what_was_passed_over() -> None:
    after = await revised({"P1": "Likes kite toy tail."}, [CATALOGUE[1], CATALOGUE[2]], 100)
    assert sorted(claim.evidence for claim in after.claims) == [["A"], ["B"], ["P1", "A"]]
    unlike = await revised({"P1": "Likes kite toy tail."}, [CATALOGUE[3], CATALOGUE[2]], 100)
    assert ["P1"] in [claim.evidence for claim in unlike.claims]


async def test_the_chosen_items_new_text_suits_the_profile() -> None:
    claims = await described([CATALOGUE[4]], 100)
    items = {h: {"facts": CATALOGUE[i], "text": CATALOGUE[i]} for h, i in (("A", 3), ("B", 2))}
    shown = {"claims": handled(claims), "items": items, "chosen": "A", "words": 50}
    texts = await answer("revise_items", shown, descriptions_reply(("A", "B")))
    scores = dict(await ranked(text_of(claims), f"{CATALOGUE[3]} | {texts.A}", f"{CATALOGUE[2]} | {texts.B}"))
    assert scores["A"] > scores["B"]


@pytest.mark.parametrize("cap", [5, 40, 100, 180])
async def test_a_profile_keeps_to_the_words_it_is_allowed(cap: int) -> None:
    claims = await described(CATALOGUE * 5, cap)
    for chosen in CATALOGUE * 4:
        assert 0 < len(text_of(claims).split()) <= cap
        claims = (await revised(handled(claims), [chosen, *CATALOGUE], cap)).claims


# --- version ----------------------------------------------------------------------------------------------------------


async def test_the_version_tells_catalogues_apart_and_is_the_replys_model() -> None:
    versions = {offline_version(c) for c in ([], CATALOGUE, CATALOGUE[:4], CATALOGUE[::-1], ["".join(CATALOGUE)])}
    assert len(versions) == 5
    assert offline_version(CATALOGUE) == offline_version(tuple(CATALOGUE))
    reply = await offline_chat(CATALOGUE)(
        asked("describe", {"liked": {}, "words": 50, "evidence": True}, profile_reply(()))
    )
    assert reply.model == offline_version(CATALOGUE)
