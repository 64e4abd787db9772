"""`provider: local` answers like any Chat, the same each time, within its limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel
from recloop.agents.chat.build import asked_of, build_chat, build_likelihood
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.local.local_chat import local_chat
from recloop.agents.chat.local.model import LocalModel, fingerprint, load_model
from recloop.agents.chat.meter import Budget, Meter
from recloop.agents.chat.types import Message, Request, Sampling
from recloop.errors import ConfigError, DataError, ModelUnavailable, ReplyInvalid

from tests.agents.small_lm import made

MESSAGES = (Message("system", "You judge."), Message("user", "Name a kite."))


def request(**more) -> Request:
    return Request(MESSAGES, **{"sampling": Sampling(max_tokens=12), **more})


async def test_greedy_answers_are_the_same_each_time_and_cut_at_max_tokens(plain: LocalModel) -> None:
    first, second = [await local_chat(plain)(request()) for _ in range(2)]
    assert (first.text, first.finish_reason, first.usage) == (second.text, second.finish_reason, second.usage)
    assert first.usage.completion_tokens == 12
    assert first.finish_reason == "length"
    assert first.model == plain.name


async def test_what_is_decoded_is_the_likeliest_token_at_each_place(plain: LocalModel) -> None:
    reply = await local_chat(plain)(request(logprobs=True))
    assert reply.logprobs is not None
    assert reply.alternatives is not None
    assert len(reply.logprobs) == 12
    for told, others in zip(reply.logprobs, reply.alternatives, strict=True):
        assert told == others[0]
        assert [value for _, value in others] == sorted((value for _, value in others), reverse=True)


async def test_draws_differ_by_seed_and_draw_alone(plain: LocalModel) -> None:
    hot = Sampling(temperature=1.5, max_tokens=12, seed=3)
    texts = [(await local_chat(plain)(request(sampling=hot, draw=draw))).text for draw in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]


async def test_a_prompt_without_room_is_refused_and_not_tried_again(plain: LocalModel) -> None:
    with pytest.raises(ModelUnavailable, match="shorten it") as refused:
        await local_chat(plain)(Request((Message("user", "kite " * 600),)))
    assert not refused.value.retryable


class Answer(BaseModel):
    good: bool


async def test_a_model_that_cannot_write_json_gives_an_invalid_reply_not_a_crash(
    tmp_path: Path, plain: LocalModel
) -> None:
    folder = made(tmp_path / "small", length=1024)
    meter = Meter(Budget())
    config = LLMConfig(provider="local", model=str(folder), device="cpu", max_tokens=8)
    chat = build_chat(config, cache=tmp_path / "replies.sqlite", meter=meter)
    with pytest.raises(ReplyInvalid):
        await chat(request(schema=Answer, sampling=config.sampling))


async def test_the_study_setting_leads_to_the_model_and_its_likelihood(tmp_path: Path) -> None:
    from recloop.agents.chat.likelihood import ScoringRequest

    folder = made(tmp_path / "small")
    config = LLMConfig(provider="local", model=str(folder), device="cpu", max_tokens=4)
    assert asked_of(config) == ('local {"device":"cpu"}', fingerprint(folder))
    with pytest.raises(ReplyInvalid, match=r"cut off at max_tokens after 4 tokens") as cut:
        await build_chat(config, meter=Meter(Budget()))(request(sampling=config.sampling))
    assert cut.value.reply.cost == 0, "a model of one's own costs nothing a token"
    ((one,),) = await build_likelihood(config)([ScoringRequest("A", (" kite",))])
    assert one.total < 0
    with pytest.raises(ConfigError, match="cannot score a given text"):
        build_likelihood(LLMConfig())


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first, second, same = (made(tmp_path / name / "m", seed=seed) for name, seed in (("a", 0), ("b", 1), ("c", 0)))
    assert fingerprint(first) == fingerprint(same) != fingerprint(second)


@pytest.mark.parametrize(
    ("broken", "error", "said"),
    [
        ("config.json", ConfigError, r"no config\.json"),
        ("model.safetensors", DataError, "no causal language model"),
        ("tokenizer.json", ConfigError, "tokenizer"),
    ],
)
def test_a_folder_that_lacks_something_is_named(tmp_path: Path, broken: str, error: type[Exception], said: str) -> None:
    folder = made(tmp_path / "small")
    (folder / broken).unlink()
    with pytest.raises(error, match=said) as raised:
        load_model(folder, device="cpu")
    assert str(folder) in str(raised.value)


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"llm\.device is 'cuda'"):
        load_model(made(tmp_path / "small"), device="cuda")
