"""A prompt in, an object out: one repair turn, and nothing that was cut off or declined is ever repaired."""

import json

import pytest
from recloop.agents.agent import Tally, Tools
from recloop.agents.chat.handles import ranking_reply
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.structured import ask, repaired, unfenced, valid_reply
from recloop.agents.chat.types import Reply, Usage
from recloop.errors import ModelUnavailable, ReplyInvalid
from recloop.prompts import Rendered

RENDERED = Rendered("test/rank", "0123456789ab", "You judge.", "Rank A and B.")
RANKING = ranking_reply(("A", "B"))


def ranked(*names: str, score: float = 0.5) -> str:
    return json.dumps({"reason": "so", "ranking": [{"item": name, "score": score} for name in names]})


def tools(replies) -> Tools:
    return Tools(chat=scripted_chat(replies), memory=None, tally=Tally())


def cut_off(text: str = '{"reason": "s') -> Reply:
    return Reply(text, "m", finish_reason="length", usage=Usage(10, 5))


def declined() -> Reply:
    return Reply("I'd rather not.", "m", finish_reason="refusal", usage=Usage(10, 3))


async def test_a_valid_reply_is_an_object_and_is_tallied() -> None:
    asked = tools([Reply(ranked("B", "A"), "m", usage=Usage(10, 5), cost=0.25)])
    reply = await ask(asked, RENDERED, RANKING, agent="tester")
    assert [entry.item for entry in reply.ranking] == ["B", "A"]
    assert asked.tally == Tally(
        calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25, model="m", prompts={"test/rank@0123456789ab"}
    )


@pytest.mark.parametrize(
    "wrong",
    ["no JSON at all", "{}", ranked("A"), ranked("A", "A"), ranked("A", "C"), ranked("A", "B", score=1.5), "[]", ""],
)
async def test_a_wrong_reply_gets_one_repair_turn_with_the_error(wrong) -> None:
    seen = []

    def answer(request):
        seen.append(request)
        return wrong if len(seen) == 1 else ranked("A", "B")

    asked = tools(answer)
    await ask(asked, RENDERED, RANKING)
    assert [message.role for message in seen[1].messages] == ["system", "user", "assistant", "user"]
    assert seen[1].messages[2].content == wrong
    assert "cannot be used" in seen[1].messages[3].content
    assert (asked.tally.calls, asked.tally.repairs) == (2, 1)


async def test_the_repair_turn_names_what_was_left_out() -> None:
    seen = []

    def answer(request):
        seen.append(request)
        return ranked("A", "A") if len(seen) == 1 else ranked("A", "B")

    await ask(tools(answer), RENDERED, RANKING)
    assert "items more than once: A" in seen[1].messages[3].content


async def test_a_second_wrong_reply_is_invalid_and_both_are_tallied() -> None:
    asked = tools(["nothing", "nothing again", ranked("A", "B")])
    with pytest.raises(ReplyInvalid, match="twice in a wrong form") as caught:
        await ask(asked, RENDERED, RANKING)
    assert caught.value.kind == "schema"
    assert (asked.tally.calls, asked.tally.repairs) == (2, 1)
    assert asked.tally.completion_tokens == 3


@pytest.mark.parametrize(("reply", "kind"), [(cut_off(), "truncated"), (declined(), "refused")])
async def test_what_is_cut_off_or_declined_is_never_repaired(reply, kind) -> None:
    asked = tools([reply, ranked("A", "B")])
    with pytest.raises(ReplyInvalid) as caught:
        await ask(asked, RENDERED, RANKING)
    assert caught.value.kind == kind
    assert (asked.tally.calls, asked.tally.repairs) == (1, 0)


async def test_a_whole_object_under_finish_reason_length_is_still_cut_off() -> None:
    with pytest.raises(ReplyInvalid, match="max_tokens"):
        await ask(tools([cut_off(ranked("A", "B"))]), RENDERED, RANKING)


@pytest.mark.parametrize("reply", [cut_off(), declined()])
async def test_the_chain_asks_once_more_for_what_was_cut_off_or_declined(question, reply) -> None:
    seen = []

    def answer(request):
        seen.append(request)
        return reply if len(seen) == 1 else Reply(ranked("A", "B", "C"), "m", usage=Usage(10, 9))

    got = await repaired(scripted_chat(answer))(question())
    assert seen[0] == seen[1]
    assert (got.turns, got.repairs) == (2, 0)
    assert got.usage.completion_tokens == 9 + reply.usage.completion_tokens


async def test_the_chain_gives_up_on_what_is_declined_three_times(question) -> None:
    with pytest.raises(ReplyInvalid) as caught:
        await repaired(scripted_chat([declined()] * 3 + [ranked("A", "B", "C")]))(question())
    assert caught.value.kind == "refused"
    assert caught.value.reply.turns == 3


async def test_a_name_that_was_not_shown_is_counted_and_repaired(question) -> None:
    reply = await repaired(scripted_chat([ranked("A", "B", "ZZZ"), ranked("A", "B", "C")]))(question())
    assert (reply.turns, reply.repairs, reply.unmatched) == (2, 1, 1)
    with pytest.raises(ReplyInvalid) as caught:
        await repaired(scripted_chat([ranked("A", "B", "ZZZ"), ranked("A", "B", "YYY")]))(question())
    assert caught.value.reply.unmatched == 2
    left_out = await repaired(scripted_chat([ranked("A", "B"), ranked("A", "B", "C")]))(question())
    assert (left_out.repairs, left_out.unmatched) == (1, 0)


async def test_a_repair_turn_in_the_chain_is_not_repeated_around_it(question) -> None:
    chat = repaired(scripted_chat(["wrong", "wrong too", ranked("A", "B", "C")]))
    with pytest.raises(ReplyInvalid) as caught:
        await valid_reply(chat, question())
    assert caught.value.reply.turns == 2


async def test_a_fenced_reply_is_taken_out_and_counted() -> None:
    asked = tools([f"```json\n{ranked('A', 'B')}\n```"])
    await ask(asked, RENDERED, RANKING)
    assert (asked.tally.calls, asked.tally.repairs, asked.tally.fenced) == (1, 0, 1)


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '```json\n{"a": 1}\n```', '```\n{"a": 1}```', '<think>hm {"a": 2}</think>\n{"a": 1}']
)
def test_json_is_found_behind_fences_and_thoughts(text) -> None:
    assert json.loads(unfenced(text)) == {"a": 1}


def test_json_inside_prose_is_not_searched_for() -> None:
    assert unfenced('Here you are: {"a": 1}') == 'Here you are: {"a": 1}'


async def test_an_unavailable_model_is_not_repaired() -> None:
    with pytest.raises(ModelUnavailable):
        await ask(tools([ModelUnavailable("away"), ranked("A", "B")]), RENDERED, RANKING)


async def test_a_wrong_reply_a_megabyte_long_is_shown_back_in_part() -> None:
    seen = []

    def answer(request):
        seen.append(request)
        return "x" * 1_000_000 if len(seen) == 1 else ranked("A", "B")

    await ask(tools(answer), RENDERED, RANKING)
    assert sum(len(message.content) for message in seen[1].messages) < 10_000
