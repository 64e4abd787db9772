"""A server's log-probabilities are those of the same model here, by echo and by vLLM's prompt_logprobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from recloop.agents.chat.build import build_likelihood
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.likelihood import Question
from recloop.agents.chat.local.model import LocalModel, load_model
from recloop.agents.chat.local.scoring import score
from recloop.agents.chat.served_likelihood import scored, served_likelihood
from recloop.agents.chat.types import Message
from recloop.errors import ConfigError, DataError, ModelUnavailable

from tests.agents.chat.scoring_server import ScoringServer
from tests.agents.small_lm import CHAT_TEMPLATE, made

MESSAGES = (Message("system", "You judge."), Message("user", "Which of these does not belong?"))
TEXTS = [
    Question("A red kite\nA tin robot\n", ("A red kite\n", "Delta Kite\n", "x"), begun="Not here: "),
    Question("One", (" Jigsaw", "s and jigsaws")),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder: Path = made(tmp_path_factory.mktemp("served") / "served", chat_template=CHAT_TEMPLATE)
    return load_model(folder, device="cpu")


@pytest.mark.parametrize("scoring", ["echo", "prompt_logprobs"])
async def test_a_servers_scores_of_texts_are_those_of_the_model_here(model: LocalModel, scoring) -> None:
    async with ScoringServer(model) as server:
        served = await served_likelihood("m", base_url=server.url, api_key_env=None, scoring=scoring)(TEXTS)
    for row, here in zip(served, score(model, TEXTS), strict=True):
        for one, other in zip(row, here, strict=True):
            assert one.text == other.text
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


async def test_messages_are_scored_as_an_unfinished_answer(model: LocalModel) -> None:
    questions = [Question(MESSAGES, ("Kite\n", "Jigsaw\n"), begun="It is the ")]
    async with ScoringServer(model) as server:
        [row] = await served_likelihood("m", base_url=server.url, api_key_env=None)(questions)
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


async def test_a_refusal_that_may_pass_is_tried_again(model: LocalModel) -> None:
    async with ScoringServer(model, fail=1) as server:
        await served_likelihood("m", base_url=server.url, api_key_env=None)([Question("A", (" kite",))])
        assert len(server.bodies) == 2
    async with ScoringServer(model, fail=1, status=400) as server:
        with pytest.raises(ModelUnavailable, match="400"):
            await served_likelihood("m", base_url=server.url, api_key_env=None)([Question("A", (" kite",))])
        assert len(server.bodies) == 1


@pytest.mark.parametrize("scoring", ["echo", "prompt_logprobs"])
async def test_a_server_without_log_probabilities_is_said_to_be_one(model: LocalModel, scoring) -> None:
    async with ScoringServer(model, silent=True) as server:
        likelihood = served_likelihood("m", base_url=server.url, api_key_env=None, scoring=scoring)
        with pytest.raises(ModelUnavailable, match=r"gives no log-probabilities.*llm\.scoring"):
            await likelihood(TEXTS)


async def test_echo_takes_texts_only(model: LocalModel) -> None:
    async with ScoringServer(model) as server:
        with pytest.raises(ConfigError, match="take prompt_logprobs"):
            await served_likelihood("m", base_url=server.url, api_key_env=None, scoring="echo")(
                [Question(MESSAGES, ("Kite",))]
            )


def test_a_token_across_the_border_counts_and_one_that_does_not_spell_the_text_is_refused() -> None:
    tokens = [("<s>", None), ("a k", -1.0), ("it", -2.0), ("e", -3.0)]
    assert scored(tokens, "kite", "server").tokens == ("a k", "it", "e")
    assert scored(tokens, "ite", "server").total == -5.0
    with pytest.raises(DataError, match="does not give a text back"):
        scored(tokens, "robot", "server")
    with pytest.raises(DataError, match="gives no log-probability"):
        scored([("kite", None)], "kite", "server")
