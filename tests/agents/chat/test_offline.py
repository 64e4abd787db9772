"""`offline`: right answers by likeness of words, of the form asked for, the same ones every time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from recloop.agents.chat.handles import handles_for, ranking_reply
from recloop.agents.chat.offline import AVERSION, Rarity, cosine, offline_chat, offline_version, words
from recloop.agents.chat.structured import valid_reply
from recloop.agents.chat.types import Facts, Message, Request
from recloop.agents.setwise.machine import Profile, Reflection, descriptions
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


TEXTS = st.text(max_size=60) | st.sampled_from([*CATALOGUE, "", "Likes kite. Passes over felt.", "not for kites"])


# --- form -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.data())
async def test_whatever_is_shown_the_reply_is_of_the_form_asked_for(data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=6))
    profile, handles, cap = data.draw(TEXTS), handles_for(len(texts)), data.draw(st.integers(5, 200))
    await ranked(profile, *texts, notes=tuple(data.draw(st.lists(TEXTS, max_size=3))))
    await answer("describe", {"liked": texts, "words": cap}, Profile)
    chosen, *rejected = texts
    shown: dict[str, Any] = {"profile": profile, "chosen": chosen, "rejected": rejected, "words": cap}
    await answer("revise_profile", shown, Reflection)
    items = {handle: {"facts": text, "text": text} for handle, text in zip(handles, texts, strict=True)}
    await answer(
        "revise_items", {"profile": profile, "items": items, "chosen": "A", "words": cap}, descriptions(handles)
    )


async def test_the_same_question_has_the_same_answer_from_every_instance() -> None:
    shown = {"query": "kites and honey", "notes": [], "options": options(*CATALOGUE)}
    request = asked("rank", shown, ranking_reply(handles_for(5)))
    first, again = [await offline_chat(CATALOGUE)(request) for _ in range(2)]
    assert first == again
    assert (first.cost, first.usage.prompt_tokens) == (0.0, 3)


@pytest.mark.parametrize("kind", ["predict", ""])
async def test_an_unknown_question_is_refused_with_the_known_ones(kind: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"cannot answer.*it answers: rank, describe"):
        await offline_chat()(asked(kind, {}, Profile))


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


# --- rewrites ---------------------------------------------------------------------------------------------------------


async def test_a_first_profile_tells_its_items_from_others() -> None:
    reply = await answer("describe", {"liked": CATALOGUE[:2], "words": 100}, Profile)
    assert (await ranked(reply.profile, *CATALOGUE[2:], CATALOGUE[0]))[0][0] == "D"


async def test_a_reflection_turns_the_profile_towards_the_truth() -> None:
    before = (await answer("describe", {"liked": [CATALOGUE[2]], "words": 100}, Profile)).profile
    assert (await ranked(before, CATALOGUE[2], CATALOGUE[3]))[0][0] == "A"
    shown = {"profile": before, "chosen": CATALOGUE[3], "rejected": [CATALOGUE[2]], "words": 100}
    after = await answer("revise_profile", shown, Reflection)
    score = dict(await ranked(before, CATALOGUE[2], CATALOGUE[3]))
    rescored = dict(await ranked(after.profile, CATALOGUE[2], CATALOGUE[3]))
    assert rescored["B"] > score["B"]
    assert "chess" in after.lesson


async def test_the_chosen_items_new_text_suits_the_profile() -> None:
    profile = (await answer("describe", {"liked": [CATALOGUE[4]], "words": 100}, Profile)).profile
    items = {h: {"facts": CATALOGUE[i], "text": CATALOGUE[i]} for h, i in (("A", 3), ("B", 2))}
    shown = {"profile": profile, "items": items, "chosen": "A", "words": 50}
    texts = await answer("revise_items", shown, descriptions(("A", "B")))
    scores = dict(await ranked(profile, f"{CATALOGUE[3]} | {texts.A}", f"{CATALOGUE[2]} | {texts.B}"))
    assert scores["A"] > scores["B"]


@pytest.mark.parametrize("cap", [40, 100, 180])
async def test_a_profile_keeps_to_the_words_it_is_allowed(cap: int) -> None:
    profile = (await answer("describe", {"liked": CATALOGUE * 5, "words": cap}, Profile)).profile
    for chosen in CATALOGUE * 4:
        assert 0 < len(profile.split()) <= cap
        shown = {"profile": profile, "chosen": chosen, "rejected": CATALOGUE, "words": cap}
        profile = (await answer("revise_profile", shown, Reflection)).profile


# --- version ----------------------------------------------------------------------------------------------------------


async def test_the_version_tells_catalogues_apart_and_is_the_replys_model() -> None:
    versions = {offline_version(c) for c in ([], CATALOGUE, CATALOGUE[:4], CATALOGUE[::-1], ["".join(CATALOGUE)])}
    assert len(versions) == 5
    assert offline_version(CATALOGUE) == offline_version(tuple(CATALOGUE))
    reply = await offline_chat(CATALOGUE)(asked("describe", {"liked": [], "words": 50}, Profile))
    assert reply.model == offline_version(CATALOGUE)
