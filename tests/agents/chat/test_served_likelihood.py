"""A server's log-probabilities are those of the same model here, by echo and by vLLM's prompt_logprobs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from recloop.agents.chat.build import build_chat, build_likelihood, limits_of
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.likelihood import ScoringRequest
from recloop.agents.chat.local.model import LocalModel, load_model
from recloop.agents.chat.local.scoring import score
from recloop.agents.chat.meter import Budget, Meter
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.served_likelihood import chat_likelihood, score_of, scoring_chat
from recloop.agents.chat.types import Message, Request
from recloop.errors import BudgetExceeded, ConfigError, DataError, ModelUnavailable

from tests.agents.chat.scoring_server import ScoringServer
from tests.agents.small_lm import CHAT_TEMPLATE, made

MESSAGES = (Message("system", "You judge."), Message("user", "Which of these does not belong?"))
TEXTS = [
    ScoringRequest("A red kite\nA tin robot\n", ("A red kite\n", "Delta Kite\n", "x"), begun="Not here: "),
    ScoringRequest("One", (" Jigsaw", "s and jigsaws")),
]


def served(server: ScoringServer, **more: object) -> LLMConfig:
    return LLMConfig(provider="openai", model="m", base_url=server.url, **more)


def sixty_four() -> ScoringRequest:
    return ScoringRequest("A box of ", tuple(f"kite {n}" for n in range(64)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder: Path = made(tmp_path_factory.mktemp("served") / "served", chat_template=CHAT_TEMPLATE)
    return load_model(folder, device="cpu")


@pytest.mark.parametrize("scoring", ["echo", "prompt_logprobs"])
async def test_a_servers_scores_of_texts_are_those_of_the_model_here(model: LocalModel, scoring) -> None:
    async with ScoringServer(model) as server:
        served = await chat_likelihood(scoring_chat("m", base_url=server.url, api_key_env=None, scoring=scoring))(TEXTS)
    for row, here in zip(served, score(model, TEXTS), strict=True):
        for one, other in zip(row, here, strict=True):
            assert one.text == other.text
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


async def test_messages_are_scored_as_an_unfinished_answer(model: LocalModel) -> None:
    questions = [ScoringRequest(MESSAGES, ("Kite\n", "Jigsaw\n"), begun="It is the ")]
    async with ScoringServer(model) as server:
        [row] = await chat_likelihood(scoring_chat("m", base_url=server.url, api_key_env=None))(questions)
        assert server.bodies[0]["messages"][-1]["role"] == "assistant"
    [here] = score(model, questions)
    for one, other in zip(row, here, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


async def test_a_study_setting_leads_to_the_server(model: LocalModel) -> None:
    async with ScoringServer(model) as server:
        config = LLMConfig(provider="openai", model="m", base_url=server.url, scoring="echo")
        [row] = await build_likelihood(config)(TEXTS[1:])
        assert server.bodies[0]["echo"] is True
    assert [one.text for one in row] == list(TEXTS[1].continuations)


async def test_a_refusal_that_may_pass_is_tried_again_and_one_that_may_not_is_sent_once(model: LocalModel) -> None:
    async with ScoringServer(model, fail=1) as server:
        await build_likelihood(served(server))([ScoringRequest("A", (" kite",))])
        assert len(server.bodies) == 2
    async with ScoringServer(model, fail=1, status=400) as server:
        with pytest.raises(ModelUnavailable, match="400"):
            await build_likelihood(served(server))([ScoringRequest("A", (" kite",))])
        assert len(server.bodies) == 1


async def test_sixty_four_continuations_under_a_budget_of_five_calls_send_five(model: LocalModel) -> None:
    async with ScoringServer(model, delay=0.01) as server:
        meter = Meter(Budget(calls=5))
        config = served(server, concurrency=4, budget=Budget(calls=5))
        with pytest.raises(BudgetExceeded, match=r"budget\.calls = 5"):
            await build_likelihood(config, meter=meter)([sixty_four()])
        assert len(server.bodies) == 5
        assert server.most_in_flight <= 4
    assert meter.total.calls == meter.agents["likelihood"].calls == 5
    assert meter.total.prompt_tokens > 0


async def test_likelihood_calls_keep_to_the_concurrency_and_the_rate(model: LocalModel) -> None:
    async with ScoringServer(model, delay=0.01) as server:
        await build_likelihood(served(server, concurrency=3))([sixty_four()])
        assert server.most_in_flight <= 3
    async with ScoringServer(model) as server:
        likelihood = build_likelihood(served(server, rpm=10))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(likelihood([sixty_four()]), timeout=0.5)
        assert len(server.bodies) <= 10


async def test_a_batch_that_a_budget_ended_goes_on_from_the_cache(model: LocalModel, replies: Replies) -> None:
    async with ScoringServer(model) as server:
        with pytest.raises(BudgetExceeded):
            await build_likelihood(served(server), cache=replies, meter=Meter(Budget(calls=5)))([sixty_four()])
        first = await build_likelihood(served(server), cache=replies)([sixty_four()])
        assert len(server.bodies) == 64
        again = await build_likelihood(served(server), cache=replies)([sixty_four()])
        assert len(server.bodies) == 64
    assert again == first


async def test_chat_and_likelihood_share_one_rate_limit(model: LocalModel) -> None:
    async with ScoringServer(model) as server:
        config = served(server, rpm=3)
        limits = limits_of(config)
        await build_likelihood(config, limits=limits)([ScoringRequest("A", (" kite", " pot", " jigsaw"))])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(build_chat(config, limits=limits)(Request((Message("user", "x"),))), timeout=0.2)
        assert len(server.bodies) == 3


async def test_a_local_models_likelihoods_count_against_the_budget(model: LocalModel, tmp_path: Path) -> None:
    folder = made(tmp_path / "small")
    config = LLMConfig(provider="local", model=str(folder), device="cpu", budget=Budget(calls=2))
    with pytest.raises(ConfigError, match="no meter"):
        build_likelihood(config)
    meter = Meter(Budget(calls=2))
    likelihood = build_likelihood(config, meter=meter)
    await likelihood([ScoringRequest("A", (" kite", " pot"))])
    with pytest.raises(BudgetExceeded):
        await likelihood([ScoringRequest("A", (" kite",)), ScoringRequest("B", (" kite",))])
    assert meter.total.calls == 1


@pytest.mark.parametrize("scoring", ["echo", "prompt_logprobs"])
async def test_a_server_without_log_probabilities_is_said_to_be_one(model: LocalModel, scoring) -> None:
    async with ScoringServer(model, silent=True) as server:
        likelihood = chat_likelihood(scoring_chat("m", base_url=server.url, api_key_env=None, scoring=scoring))
        with pytest.raises(ModelUnavailable, match=r"gives no log-probabilities.*llm\.scoring"):
            await likelihood(TEXTS)


async def test_echo_takes_texts_only(model: LocalModel) -> None:
    async with ScoringServer(model) as server:
        with pytest.raises(ConfigError, match="take prompt_logprobs"):
            await chat_likelihood(scoring_chat("m", base_url=server.url, api_key_env=None, scoring="echo"))(
                [ScoringRequest(MESSAGES, ("Kite",))]
            )


def test_a_token_across_the_border_counts_and_one_that_does_not_spell_the_text_is_refused() -> None:
    tokens = [("<s>", None), ("a k", -1.0), ("it", -2.0), ("e", -3.0)]
    assert score_of(tokens, "kite", "server").tokens == ("a k", "it", "e")
    assert score_of(tokens, "ite", "server").total == -5.0
    with pytest.raises(DataError, match="does not give a text back"):
        score_of(tokens, "robot", "server")
    with pytest.raises(DataError, match="gives no log-probability"):
        score_of([("kite", None)], "kite", "server")
