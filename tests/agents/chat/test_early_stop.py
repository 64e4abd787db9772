"""A run whose calls all fail ends after a handful of them, with the commonest error and the setting to change."""

import asyncio
import json

import pytest
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.early_stop import TRIAL, stopping_early
from recloop.agents.chat.loopback import Canned, Loopback
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Reply
from recloop.errors import ModelUnavailable, ReplayMiss, ReplyInvalid

USERS = 300


async def run(question, body: object, status: int = 200, **settings: object) -> tuple[int, list[Exception]]:
    """Requests that a server of one answer got from 300 tasks, and how the tasks ended."""
    async with Loopback(script=lambda _: Canned(status, body)) as server:
        config = LLMConfig(provider="openai", model="m", base_url=server.url, attempts=1, **settings)
        chat = build_chat(config)
        outcomes = await asyncio.gather(*(chat(question(n)) for n in range(USERS)), return_exceptions=True)
        return server.counts["requests"], outcomes


def completion(text: str) -> dict:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": {"message": "Unsupported value: 'temperature' does not support 0"}}, r"llm\.reasoning: true"),
        (400, {"error": {"message": "json_schema is not supported"}}, r"llm\.structured: json_object"),
        (403, {"error": {"message": "forbidden for you"}}, "forbidden for you"),
        (429, {"error": {"message": "no quota", "code": "insufficient_quota"}}, "insufficient_quota"),
        (500, {"error": {"message": "boom"}}, "boom"),
        (200, "<html>login</html>", "login"),
        (200, "", "no chat completion"),
        (200, {"choices": []}, "no chat completion"),
        (200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, "without a text"),
    ],
)
async def test_a_server_that_fails_every_call_is_called_a_handful_of_times(question, status, body, words) -> None:
    requests, outcomes = await run(question, body, status)
    assert requests <= 5 + TRIAL
    last = outcomes[-1]
    assert isinstance(last, ModelUnavailable)
    assert last.hopeless
    with pytest.raises(ModelUnavailable, match=words):
        raise last


async def test_a_server_that_answers_in_prose_is_not_called_for_every_task(question) -> None:
    requests, outcomes = await run(question, completion("The item that does not fit is probably the third one."))
    assert requests <= 2 * (20 + TRIAL)
    with pytest.raises(ModelUnavailable, match=r"none of 20 replies in a row was usable.*llm\.structured: json_object"):
        raise outcomes[-1]


async def test_one_prompt_that_is_too_long_fails_one_task_and_not_the_others(question) -> None:
    def script(body: dict) -> Canned | None:
        long = int(body["messages"][1]["content"].split()[1].rstrip(":")) < 20
        return Canned(400, {"error": {"message": "maximum context length is 8192 tokens"}}) if long else None

    async with Loopback(script=script) as server:
        chat = build_chat(LLMConfig(provider="openai", model="m", base_url=server.url))
        outcomes = await asyncio.gather(*(chat(question(n)) for n in range(40)), return_exceptions=True)
    assert [isinstance(one, Reply) for one in outcomes] == [False] * 20 + [True] * 20


async def test_few_requests_are_in_flight_until_a_reply_is_usable(question) -> None:
    in_flight, seen = 0, []

    async def answer(request):
        nonlocal in_flight
        in_flight += 1
        seen.append(in_flight)
        for _ in range(50):
            await asyncio.sleep(0)
        in_flight -= 1
        return "x"

    chat = stopping_early(scripted_chat(answer))
    await asyncio.gather(*(chat(question(n)) for n in range(40)))
    assert max(seen[:TRIAL]) == TRIAL
    assert max(seen) > 30


async def test_failures_among_usable_replies_stop_nothing(question) -> None:
    def answer(request):
        number = int(request.messages[1].content.split()[1].rstrip(":"))
        return ModelUnavailable("400", status=400) if number % 10 else "x"

    chat = stopping_early(scripted_chat(answer))
    outcomes = [(await asyncio.gather(chat(question(n)), return_exceptions=True))[0] for n in range(200)]
    assert sum(isinstance(one, Reply) for one in outcomes) == 20
    assert not any(one.hopeless for one in outcomes if isinstance(one, ModelUnavailable))


async def test_after_a_success_it_takes_more_failures_in_a_row(question) -> None:
    chat = stopping_early(scripted_chat(["x", *[ModelUnavailable("400", status=400)] * 100]))
    await chat(question())
    hopeless = []
    for _ in range(30):
        with pytest.raises(ModelUnavailable) as caught:
            await chat(question())
        hopeless.append(caught.value.hopeless)
    assert hopeless == [False] * 24 + [True] * 6


@pytest.mark.parametrize(("error", "calls"), [(ReplyInvalid("no form"), 20), (ReplayMiss("not recorded"), 20)])
async def test_each_kind_of_failure_has_a_patience_of_its_own(question, error, calls) -> None:
    sent = []

    def answer(request):
        sent.append(request)
        return error

    chat = stopping_early(scripted_chat(answer))
    for _ in range(60):
        with pytest.raises((ModelUnavailable, type(error))):
            await chat(question())
    assert len(sent) == calls


async def test_the_commonest_error_is_named_with_its_count(question) -> None:
    errors = [ModelUnavailable(f"boom of request {n}") for n in range(4)]
    chat = stopping_early(scripted_chat([errors[0], ModelUnavailable("rare"), *errors[1:]]))
    for _ in range(4):
        with pytest.raises(ModelUnavailable):
            await chat(question())
    with pytest.raises(ModelUnavailable, match=r"5 calls in a row failed; the commonest error \(4 times\): boom of re"):
        await chat(question())


async def test_a_cancelled_call_gives_its_place_to_the_next(question) -> None:
    gate = asyncio.Event()

    async def wait(request):
        await gate.wait()
        return json.dumps({})

    chat = stopping_early(scripted_chat(wait))
    calls = [asyncio.ensure_future(chat(question(n))) for n in range(TRIAL + 2)]
    await asyncio.sleep(0)
    calls[TRIAL].cancel()
    calls[0].cancel()
    gate.set()
    assert [(await call).text for call in calls[1:TRIAL] + calls[TRIAL + 1 :]] == ["{}"] * TRIAL
