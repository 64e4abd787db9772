"""Log-probabilities from an OpenAI-compatible server, by one of two ways that servers have of scoring a given text.

    echo            POST /completions with echo and logprobs: the prompt's own tokens come back with theirs (vLLM,
                    text-generation servers; no chat templates, so texts only)
    prompt_logprobs vLLM's field of that name, in /completions for texts and in /chat/completions for messages, where
                    the continuation is the last, unfinished message of the assistant

Hosted chat models have neither. Every continuation is a call of its own, a `Request` with a `continuation`, so that the
wrappers of a Chat (account, limits, retries, cache) hold for it; a server with prefix caching computes the prompt once.
One token is generated and thrown away, since many servers generate at least one.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from ...errors import ConfigError, DataError, ModelUnavailable
from ...redaction import redact
from .likelihood import Likelihood, Scored, Scoring, ScoringRequest
from .server import Server
from .types import Chat, Continuation, Message, Reply, Request, Sampling
from .wire import usage_of

Token = tuple[str, float | None]
"""A prompt's token and its log-probability; None for the first, which nothing stands before."""

_ONE_TOKEN = Sampling(max_tokens=1)


def scoring_chat(
    model: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = "OPENAI_API_KEY",
    scoring: Scoring = "prompt_logprobs",
    timeout: float = 120.0,
    connect_timeout: float = 10.0,
    concurrency: int = 64,
) -> Chat:
    """A Chat that answers requests with a `continuation`: `Reply.logprobs` holds its tokens.

    Parameters are those of `openai_chat`. Raises its errors, ConfigError for messages where `scoring` is `echo`, and
    DataError where the tokens that come back do not spell the continuation.
    """
    server = Server(base_url, api_key_env, timeout=timeout, connect_timeout=connect_timeout, concurrency=concurrency)

    async def chat(request: Request) -> Reply:
        began = time.perf_counter()
        path, body = scoring_body(request, model, scoring)
        raw = await server.post(path, body)
        score = score_of(tokens_of(raw, scoring, server.endpoint), _continuation(request).text, server.endpoint)
        return Reply(
            text=score.text,
            model=model,
            usage=usage_of(json.loads(raw).get("usage")),
            seconds=time.perf_counter() - began,
            logprobs=tuple(zip(score.tokens, score.logprobs, strict=True)),
        )

    return chat


def chat_likelihood(chat: Chat, *, agent: str = "likelihood") -> Likelihood:
    """A Likelihood whose every continuation is one call of `chat`; `agent` names it in the account of usage.

    All calls of a batch end before the first error among them is raised, so that what was paid for is in the cache.
    """

    async def one(request: ScoringRequest, continuation: str) -> Scored:
        if not continuation:
            return Scored("", (), ())
        reply = await chat(_call(request, continuation, agent))
        pairs = reply.logprobs or ()
        return Scored(continuation, tuple(token for token, _ in pairs), tuple(value for _, value in pairs))

    async def likelihood(requests: Sequence[ScoringRequest]) -> list[tuple[Scored, ...]]:
        calls = [one(request, text) for request in requests for text in request.continuations]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        scores: list[Scored] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            scores.append(outcome)
        parts = iter(scores)
        return [tuple(next(parts) for _ in request.continuations) for request in requests]

    return likelihood


def scoring_body(request: Request, model: str, scoring: Scoring) -> tuple[str, dict[str, Any]]:
    """The path and the body that have one continuation scored."""
    continuation = _continuation(request)
    body: dict[str, Any] = {"model": model, "max_tokens": 1, "temperature": 0.0}
    body |= {"echo": True, "logprobs": 1} if scoring == "echo" else {"prompt_logprobs": 0}
    ending = continuation.answer + continuation.text
    if not continuation.templated:
        return "/completions", {**body, "prompt": request.messages[0].content + ending}
    if scoring == "echo":
        raise ConfigError("scoring by echo takes a text as prompt, and this is messages; take prompt_logprobs")
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    messages.append({"role": "assistant", "content": ending})
    more = {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
    return "/chat/completions", {**body, **more}


def tokens_of(raw: bytes, scoring: Scoring, endpoint: str) -> list[Token]:
    """The prompt's tokens in a 200 body. Raises ModelUnavailable (hopeless) where the server gave none."""
    try:
        payload = json.loads(raw)
        choice = payload["choices"][0]
        if scoring == "echo":
            logprobs = choice["logprobs"]
            # The generated token stands after the prompt.
            size = len(logprobs["tokens"]) - _generated(payload)
            return list(zip(logprobs["tokens"][:size], logprobs["token_logprobs"][:size], strict=True))
        # In a chat completion it stands beside the choices.
        places = choice.get("prompt_logprobs") or payload["prompt_logprobs"]
        return [_first(place) for place in places]
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        opening = redact(raw[:200].decode(errors="replace"))
        raise ModelUnavailable(
            f"{endpoint} gives no log-probabilities of a prompt by {scoring}; try the other way "
            f"(llm.scoring), or a server that has one. It sent: {opening!r}",
            spent=True,
            hopeless=True,
        ) from None


def score_of(tokens: Sequence[Token], continuation: str, endpoint: str) -> Scored:
    """The continuation's tokens: counted from the end, those that spell it; one that straddles its beginning counts."""
    spelt = ""
    at = len(tokens)
    while at and len(spelt) < len(continuation):
        at -= 1
        spelt = tokens[at][0] + spelt
    if not spelt.endswith(continuation):
        raise DataError(
            f"{endpoint} sends tokens that end in {spelt[-40:]!r}, not in {continuation[-40:]!r}: its tokenizer does "
            "not give a text back as it was; score this model locally"
        )
    values = [value for _, value in tokens[at:]]
    if any(value is None or not math.isfinite(value) for value in values):
        raise DataError(
            f"{endpoint} gives no log-probability for a token of {continuation!r}; begin the prompt earlier"
        )
    return Scored(continuation, tuple(text for text, _ in tokens[at:]), tuple(float(value or 0.0) for value in values))


def _call(request: ScoringRequest, continuation: str, agent: str) -> Request:
    templated = not isinstance(request.prompt, str)
    messages = (Message("user", request.prompt),) if isinstance(request.prompt, str) else request.prompt
    return Request(
        messages,
        sampling=_ONE_TOKEN,
        agent=agent,
        continuation=Continuation(continuation, request.begun, templated),
    )


def _continuation(request: Request) -> Continuation:
    if request.continuation is None:
        raise ValueError("this chat scores continuations, and the request has none")
    return request.continuation


def _generated(payload: dict[str, Any]) -> int:
    tokens = (payload.get("usage") or {}).get("completion_tokens")
    return tokens if isinstance(tokens, int) else 1


def _first(place: dict[str, Any] | None) -> Token:
    """Of one place the prompt's own token: the first entry, before likelier ones."""
    if place is None:
        return "", None
    entry = next(iter(place.values()))
    return str(entry["decoded_token"]), float(entry["logprob"])
