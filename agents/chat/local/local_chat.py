"""`local_chat`: the Chat over a local model. Temperature 0 decodes greedily; above, by a generator of seed and draw."""

from __future__ import annotations

import asyncio
import time

import torch

from ....errors import ModelUnavailable
from ..types import Chat, Message, Reply, Request, Usage
from ..wire import TOP_LOGPROBS, in_words
from .decoding import Choice, GeneratedTokens, greedy, sampled, write
from .encoding import opened
from .model import LocalModel


def local_chat(model: LocalModel) -> Chat:
    """A Chat over `model`. Requests are answered one after another; the schema goes into the prompt in words.

    Raises ModelUnavailable, not to be tried again, where a prompt leaves no room for an answer.
    """

    async def chat(request: Request) -> Reply:
        return await asyncio.to_thread(_answer, model, request)

    return chat


def _answer(model: LocalModel, request: Request) -> Reply:
    began = time.perf_counter()
    sampling = request.sampling
    text, special = opened(model, _messages(request))
    ids = model.tokenizer(text, add_special_tokens=special)["input_ids"]
    room = model.length - len(ids)
    if room < 1:
        raise ModelUnavailable(f"the prompt has {len(ids)} tokens, {model.name} takes {model.length}: shorten it")
    choose: Choice = greedy
    if sampling.temperature > 0:
        generator = torch.Generator().manual_seed((sampling.seed or 0) + request.draw)
        choose = sampled(sampling.temperature, sampling.top_p or 1.0, generator)
    with model.computing():
        written = write(
            model,
            ids,
            min(sampling.max_tokens, room),
            choose=choose,
            alternatives=TOP_LOGPROBS if request.logprobs else 0,
        )
    tokens, alternatives = _token_logprobs(model, written) if request.logprobs else (None, None)
    return Reply(
        text=model.tokenizer.decode(written.ids, skip_special_tokens=True).strip(),
        model=model.name,
        finish_reason="stop" if written.ended else "length",
        usage=Usage(len(ids), len(written.ids)),
        seconds=time.perf_counter() - began,
        logprobs=tokens,
        alternatives=alternatives,
    )


def _messages(request: Request) -> tuple[Message, ...]:
    if request.schema is None:
        return request.messages
    *earlier, last = request.messages
    words = in_words(request.schema)
    return request.messages if words in last.content else (*earlier, Message(last.role, last.content + words))


def _token_logprobs(
    model: LocalModel, written: GeneratedTokens
) -> tuple[tuple[tuple[str, float], ...], tuple[tuple[tuple[str, float], ...], ...]]:
    def spelt(token: int) -> str:
        return str(model.tokenizer.decode([token]))

    tokens = tuple((spelt(token), value) for token, value in zip(written.ids, written.logprobs, strict=True))
    return tokens, tuple(tuple((spelt(token), value) for token, value in place) for place in written.alternatives)
