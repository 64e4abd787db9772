"""The `llm:` of a study: what is refused at once, and the chain that comes of it."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.meter import Budget, Meter
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.types import Facts, Message, Request
from recloop.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"provider": "openai"}, "needs a model"),
        ({"provider": "replay"}, "needs replay"),
        ({"provider": "magic"}, "provider"),
        ({"temprature": 1}, "temprature"),
        ({"provider": "openai", "model": "m", "base_url": "localhost:8000"}, "must begin with http"),
        ({"concurrency": 0}, "concurrency"),
        ({"budget": {"euro": 5}}, "euro"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(given: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LLMConfig(**given)


def test_a_budget_without_an_account_is_refused() -> None:
    with pytest.raises(ConfigError, match="no meter keeps it"):
        build_chat(LLMConfig(budget=Budget(calls=1)))


def test_a_budget_in_dollars_asks_for_the_price(tmp_path: Path) -> None:
    config = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "budget": {"usd": 1.0}}
    with pytest.raises(ConfigError, match=r"llm\.prices"):
        build_chat(LLMConfig(**config), meter=Meter(Budget(usd=1.0)))
    (tmp_path / "prices.yaml").write_text("m: {prompt: 1, completion: 1}")
    build_chat(LLMConfig(**config, prices=tmp_path / "prices.yaml"), meter=Meter(Budget(usd=1.0)))


def test_a_hosted_model_wants_its_key_and_a_server_of_your_own_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        build_chat(LLMConfig(provider="openai", model="m"))
    build_chat(LLMConfig(provider="openai", model="m", base_url="http://127.0.0.1:9/v1"))


async def test_the_default_is_offline_counted_free_and_kept(replies: Replies) -> None:
    meter = Meter(Budget(calls=1, usd=0.0))
    chat = build_chat(LLMConfig(), cache=replies, meter=meter)
    shown = {"query": "kites", "notes": [], "options": {"A": "a kite", "B": "a pot"}}
    request = Request((Message("user", "rank"),), facts=Facts("rank", shown))
    assert (await chat(request)).cost == 0.0
    assert (await chat(request)).cached
    assert meter.total.calls == 1


async def test_knobs_of_the_transport_find_the_old_replies_again(replies: Replies, question) -> None:
    async with Loopback() as server:
        for knobs in ({}, {"timeout": 5, "attempts": 2, "concurrency": 3}, {"patience": 9, "rpm": 10}):
            config = LLMConfig(provider="openai", model="m", base_url=server.url, **knobs)
            await build_chat(config, cache=replies)(question())
        assert server.counts["requests"] == 1
        config = LLMConfig(provider="openai", model="m", base_url=server.url, structured="json_object")
        await build_chat(config, cache=replies)(question())
        assert server.counts["requests"] == 2, "a form that the server does not enforce may have another reply"


async def test_a_server_without_schemas_is_asked_in_words(question) -> None:
    async with Loopback(keep=True) as server:
        config = LLMConfig(provider="openai", model="m", base_url=server.url, structured="prompt")
        await build_chat(config)(question())
        (body,) = server.bodies
        assert "response_format" not in body
        assert '"ranking"' in body["messages"][-1]["content"]


async def test_the_same_text_meets_the_same_fate_in_any_order(question) -> None:
    async def fates(order) -> dict:
        async with Loopback(faults={"error_500": 0.3, "refusal": 0.3}) as server:
            config = LLMConfig(provider="openai", model="m", base_url=server.url, attempts=1)
            told = {}
            for number in order:
                try:
                    told[number] = (await build_chat(config)(question(number))).text
                except Exception as error:
                    told[number] = type(error).__name__
            return told

    forwards = await fates(range(12))
    assert await fates(reversed(range(12))) == forwards
    assert len(set(forwards.values())) > 3
