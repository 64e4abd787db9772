"""Log-probabilities from an OpenAI-compatible server, by one of two ways that servers have of scoring a given text.

    echo            POST /completions with echo and logprobs: the prompt's own tokens come back with theirs (vLLM,
                    text-generation servers; no chat templates, so texts only)
    prompt_logprobs vLLM's field of that name, in /completions for texts and in /chat/completions for messages, where
                    the continuation is the last, unfinished message of the assistant

Hosted chat models have neither. Every continuation is a whole prompt; a server with prefix caching computes the
beginning once. One token is generated and thrown away, since many servers generate at least one.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import httpx

from ...errors import ConfigError, DataError, ModelUnavailable
from .likelihood import Likelihood, Question, Scored, Scoring
from .redaction import api_key, redact
from .wire import OPENAI, endpoint_of, refused

Token = tuple[str, float | None]
"""A prompt's token and its log-probability; None for the first, which nothing stands before."""


def served_likelihood(
    model: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = "OPENAI_API_KEY",
    scoring: Scoring = "prompt_logprobs",
    timeout: float = 120.0,
    connect_timeout: float = 10.0,
    concurrency: int = 64,
    attempts: int = 5,
) -> Likelihood:
    """A Likelihood over `base_url`; parameters are those of `openai_chat`. A refusal that may pass (429, 5xx, a broken
    connection) is tried again up to `attempts` times, after growing waits.

    Raises ModelUnavailable, ConfigError for a key, model or path that the server refuses and for messages where
    `scoring` is `echo`, DataError where the tokens that come back do not spell the continuation.
    """
    endpoint = endpoint_of(base_url)
    key = api_key(api_key_env)
    address = (base_url or OPENAI).rstrip("/")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    deadlines = httpx.Timeout(timeout, connect=connect_timeout)

    async def likelihood(questions: Sequence[Question]) -> list[tuple[Scored, ...]]:
        places = asyncio.Semaphore(concurrency)
        async with httpx.AsyncClient(timeout=deadlines, headers=headers) as client:

            async def one(question: Question, continuation: str) -> Scored:
                path, body = asked(question, continuation, model, scoring)
                async with places:
                    raw = await _posted(client, f"{address}{path}", body, model, endpoint, timeout, attempts)
                return scored(tokens_of(raw, scoring, endpoint), continuation, endpoint)

            jobs = [[one(question, text) for text in question.continuations] for question in questions]
            return [tuple(row) for row in await asyncio.gather(*(asyncio.gather(*row) for row in jobs))]

    return likelihood


def asked(question: Question, continuation: str, model: str, scoring: Scoring) -> tuple[str, dict[str, Any]]:
    """The path and the body that ask for one continuation's tokens."""
    body: dict[str, Any] = {"model": model, "max_tokens": 1, "temperature": 0.0}
    if scoring == "echo":
        body |= {"echo": True, "logprobs": 1}
    else:
        body |= {"prompt_logprobs": 0}
    if isinstance(question.prompt, str):
        return "/completions", {**body, "prompt": question.prompt + question.begun + continuation}
    if scoring == "echo":
        raise ConfigError("scoring by echo takes a text as prompt, and this is messages; take prompt_logprobs")
    messages = [{"role": message.role, "content": message.content} for message in question.prompt]
    messages.append({"role": "assistant", "content": question.begun + continuation})
    more = {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}
    return "/chat/completions", {**body, **more}


def tokens_of(raw: bytes, scoring: Scoring, endpoint: str) -> list[Token]:
    """The prompt's tokens in a 200 body. Raises ModelUnavailable where the server gave none."""
    try:
        payload = json.loads(raw)
        choice = payload["choices"][0]
        if scoring == "echo":
            told = choice["logprobs"]
            # What was generated stands after the prompt.
            kept = len(told["tokens"]) - _generated(payload)
            return list(zip(told["tokens"][:kept], told["token_logprobs"][:kept], strict=True))
        # In a chat completion it stands beside the choices.
        places = choice.get("prompt_logprobs") or payload["prompt_logprobs"]
        return [_first(place) for place in places]
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        shown = redact(raw[:200].decode(errors="replace"))
        raise ModelUnavailable(
            f"{endpoint} gives no log-probabilities of a prompt by {scoring}; try the other way "
            f"(llm.scoring), or a server that has one. It sent: {shown!r}"
        ) from None


def scored(tokens: Sequence[Token], continuation: str, endpoint: str) -> Scored:
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


def _generated(payload: dict[str, Any]) -> int:
    told = (payload.get("usage") or {}).get("completion_tokens")
    return told if isinstance(told, int) else 1


def _first(place: dict[str, Any] | None) -> Token:
    """Of one place the prompt's own token: the first entry, before likelier ones."""
    if place is None:
        return "", None
    entry = next(iter(place.values()))
    return str(entry["decoded_token"]), float(entry["logprob"])


async def _posted(
    client: httpx.AsyncClient, url: str, body: dict[str, Any], model: str, endpoint: str, timeout: float, attempts: int
) -> bytes:
    wait = 0.5
    for attempt in range(1, attempts + 1):
        try:
            async with asyncio.timeout(timeout):
                response = await client.post(url, json=body)
            if response.status_code == 200:
                return response.content
            error: Any = refused(
                response.status_code, response.headers, response.content, model=model, endpoint=endpoint
            )
        except (TimeoutError, httpx.TimeoutException):
            error = ModelUnavailable(f"{endpoint} gave no whole answer in {timeout:g} s", retryable=True, spent=True)
        except httpx.TransportError as lost:
            error = ModelUnavailable(f"{endpoint} cannot be reached: {redact(str(lost))}", retryable=True, busy=True)
        if not getattr(error, "retryable", False) or attempt == attempts:
            raise error
        await asyncio.sleep(max(wait, getattr(error, "retry_after", None) or 0.0))
        wait = min(2 * wait, 30.0)
    raise AssertionError("a last attempt that fails raises")
