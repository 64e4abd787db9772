"""A budget of tokens holds for any text: what is reserved bounds what any tokenizer of bytes can make of it."""

import asyncio
import logging
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.agents.chat.meter import Budget, Meter
from recloop.agents.chat.metered import metered
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.token_bounds import prompt_token_bound, token_bound
from recloop.agents.chat.types import Message, Reply, Request, Sampling, Usage
from recloop.errors import BudgetExceeded, ModelUnavailable

HARD_TEXTS = {
    "japanese": "推薦システムは利用者の履歴から次の品物を予測する。",
    "emoji": "🪁🎲🧩🦄👩‍🚀🏳️‍🌈",
    "georgian": "მომხმარებელმა აირჩია წიგნი",
    "punctuation": "<<%$#@!~^&*()[]{};:',./?|`>> -- §±",
    "digits": "31415926535897932384626433832795",
}


@pytest.fixture(scope="module")
def cl100k() -> tiktoken.Encoding:
    """OpenAI's tokenizer, from the copy that litellm holds: nothing is downloaded."""
    places = find_spec("litellm").submodule_search_locations
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(Path(places[0], "litellm_core_utils", "tokenizers")))
        return tiktoken.get_encoding("cl100k_base")


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS)
def test_the_bound_holds_where_a_token_for_two_bytes_does_not(cl100k, text) -> None:
    assert len(cl100k.encode(text, disallowed_special=())) <= token_bound(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_the_bound_holds_for_any_text(cl100k, text: str) -> None:
    assert len(cl100k.encode(text, disallowed_special=())) <= token_bound(text)


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS)
@pytest.mark.parametrize("lost", [False, True])
async def test_sixty_four_at_once_never_pass_ten_thousand_tokens(text, lost) -> None:
    """The server counts one token a byte and writes up to max_tokens, or breaks off after it has."""
    spent = 0

    async def answer(request: Request) -> Reply:
        nonlocal spent
        await asyncio.sleep(0)
        usage = Usage(len(request.messages[0].content.encode()), request.sampling.max_tokens)
        spent += usage.prompt_tokens + usage.completion_tokens
        if lost:
            raise ModelUnavailable("broke off", retryable=True, spent=True)
        return Reply("x", "m", usage=usage)

    meter = Meter(Budget(tokens=10_000))
    chat = metered(scripted_chat(answer), meter, model="m")
    request = Request((Message("user", text * 8),), sampling=Sampling(max_tokens=64))
    outcomes = await asyncio.gather(*(chat(request) for _ in range(64)), return_exceptions=True)
    assert any(isinstance(one, BudgetExceeded) for one in outcomes)
    assert 5_000 < spent <= 10_000
    assert meter.total.tokens <= 10_000


async def test_a_server_with_a_prompt_of_its_own_raises_the_bound_of_later_calls() -> None:
    request = Request((Message("user", "x"),), sampling=Sampling(max_tokens=10))
    hidden = 900
    reply = Reply("x", "m", usage=Usage(prompt_token_bound(request) + hidden, 10))
    meter = Meter(Budget(tokens=10_000))
    chat = metered(scripted_chat([reply] * 100), meter, model="m")
    await chat(request)
    with pytest.raises(BudgetExceeded):
        await asyncio.gather(*(chat(request) for _ in range(20)))
    assert meter.total.tokens <= 10_000


async def test_a_server_that_reads_a_tenth_of_a_prompt_is_warned_of_once(caplog) -> None:
    request = Request((Message("user", "Rank the items that this person would like. " * 22),))
    chat = metered(scripted_chat([Reply("x", "m", usage=Usage(32, 5))] * 3), Meter(), model="m")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await chat(request)
    (record,) = caplog.records
    assert "counted 32 tokens in a prompt of 968 characters" in record.getMessage()
    assert "num_ctx" in record.getMessage()
    caplog.clear()
    await metered(scripted_chat([Reply("x", "m", usage=Usage(240, 5))]), Meter(), model="m")(request)
    assert not caplog.records
