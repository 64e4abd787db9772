"""A prompt in, an object out: one repair turn, and nothing that was cut off or declined is ever repaired."""

import json
from dataclasses import replace

import pytest
from recloop.agents.agent import Tally, Tools
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.cached import cached
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.handles import ranking_reply
from recloop.agents.chat.json_text import object_text
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.structured import ask, repaired, valid_reply
from recloop.agents.chat.types import Reply, Sampling, Usage
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


async def test_a_whole_object_followed_by_blanks_up_to_max_tokens_is_taken(question, replies) -> None:
    calls = []

    def answer(request):
        calls.append(request)
        return Reply(ranked("A", "B", "C") + "\n" * 900, "m", finish_reason="length", usage=Usage(10, 512))

    chat = cached(repaired(scripted_chat(answer)), replies, endpoint="e", model="m")
    assert (await chat(question())).finish_reason == "stop"
    assert (await chat(question())).cached
    assert len(calls) == 1


async def test_what_reached_max_tokens_at_temperature_0_is_not_requested_again(question) -> None:
    calls = []

    def answer(request):
        calls.append(request)
        return Reply('{"reason": "s', "m", finish_reason="length", usage=Usage(10, 512))

    for chat, request, expected in (
        (repaired(scripted_chat(answer)), question(), 1),
        (repaired(scripted_chat(answer)), replace(question(), sampling=Sampling(0.7, max_tokens=512)), 3),
        (repaired(scripted_chat(answer), reasoning=True), question(), 3),
    ):
        calls.clear()
        with pytest.raises(ReplyInvalid, match=r"raise llm\.max_tokens") as caught:
            await chat(request)
        assert (len(calls), caught.value.kind) == (expected, "truncated")


async def test_a_reply_cut_off_short_of_max_tokens_names_the_context_length(question) -> None:
    short = Reply('{"reason": "s', "m", finish_reason="length", usage=Usage(10, 40))
    with pytest.raises(ReplyInvalid, match=r"short of llm\.max_tokens = 512: raise the context length"):
        await repaired(scripted_chat([short] * 3))(question())


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


JSON = '{"a": 1}'


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"```json\n{JSON}\n```",
        f"```\n{JSON}```",
        f"~~~\n{JSON}\n~~~",
        f"```javascript\r\n{JSON}\r\n```",
        f"```json\n{JSON}",
        f'<think>hm {{"a": 2}}</think>\n{JSON}',
        f"Okay, the first ...\n</think>\n\n{JSON}",
        f"<thinking>hm</thinking>{JSON}",
        f"<THINK>hm</THINK>\n```json\n{JSON}\n```",
        f"<reasoning>one</reasoning> <think>two</think> {JSON}",
        f"Here is the JSON:\n```json\n{JSON}\n```",
        f"```json\n{JSON}\n```\nLet me know if you need anything else [1] {{thanks}}!",
        f"Sure! {JSON}",
        f"Here you are: {JSON} It fits.",
        f"{JSON} {JSON}",
        f"{JSON}<|im_end|>",
        f"{JSON}</s>\n",
        f"<|start_header_id|>{JSON}<|eot_id|><|end_of_text|>",
        f"\ufeff{JSON}",
        f"\u00a0{JSON}\u00a0",
    ],
)
def test_the_one_object_is_read_whatever_stands_around_it(text) -> None:
    assert object_text(text) == JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1} {"a": 2}',
        '```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```',
        '[{"a": 1}]',
        'Answer: [{"a": 1}]',
        '{"b": {"a": 1}, "c"',
        '{"reason": "x" "ranking": {"a": 1}}',
        '<think>first I try {"a": 1}',
        "no JSON at all",
        "",
        "{",
        "[" * 20_000,
        '{"a":' * 20_000,
    ],
)
def test_what_is_ambiguous_or_broken_is_not_read(text) -> None:
    assert object_text(text) == text


def test_a_text_that_quotes_fences_or_thoughts_inside_its_json_stays_whole() -> None:
    text = json.dumps({"reason": "a ```json block``` and </think> {x}", "a": 1})
    assert object_text(text) == text


async def test_a_key_that_stands_twice_is_refused_and_repaired(question) -> None:
    double = '{"reason": "a", "ranking": [], ' + ranked("A", "B", "C")[1:]
    seen = []

    def answer(request):
        seen.append(request)
        return double if len(seen) == 1 else ranked("A", "B", "C")

    assert (await repaired(scripted_chat(answer))(question())).repairs == 1
    assert "'reason' stands twice" in seen[1].messages[-1].content


async def test_the_repair_turn_holds_the_schema_in_words_once(question) -> None:
    async with Loopback(keep=True, faults={"not_json": 1.0}) as server:
        for structured in ("json_schema", "json_object", "prompt"):
            server.bodies.clear()
            config = LLMConfig(provider="openai", model="m", base_url=server.url, structured=structured)
            with pytest.raises(ReplyInvalid):
                await build_chat(config)(question())
            repair = server.bodies[1]["messages"][-1]["content"]
            assert repair.count("Its JSON schema:") == 1
            assert '"ranking"' in repair


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
