"""The OpenAI chat-completions form, both ways: a Request as a body, a body as a Reply.

Every server that speaks this form departs from it somewhere, so a reply is read by what it must hold (a choice with a
text), and everything else may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

from ...errors import ModelUnavailable
from ...redaction import redact
from .json_text import object_text
from .refusals import error_words
from .schemas import strict_schema
from .types import FinishReason, Reply, Request, Usage

OPENAI = "https://api.openai.com/v1"

Structured = Literal["json_schema", "json_object", "prompt"]
"""How a server is told the reply's form: by a schema it enforces, as "some JSON", or in words only. The last two carry
the schema in the prompt, too."""

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
    "recitation": "refusal",
    "blocklist": "refusal",
    "prohibited_content": "refusal",
}
"""Servers' finish reasons in lower case; gateways pass their upstream's names on in capitals."""
TOP_LOGPROBS = 5
"""Alternatives asked for at each token: enough to hold both yes and no, and what every server that has them allows."""


def body_of(request: Request, model: str, structured: Structured, reasoning: bool = False) -> dict[str, Any]:
    """The JSON body that asks `request` of `model`.

    `top_p` is sent only where it is set and the temperature is above 0: some servers refuse both, and greedy decoding
    ignores it. `reasoning` is for models that accept neither temperature nor `max_tokens` (they call it
    `max_completion_tokens`).
    """
    sampling, schema = request.sampling, request.schema
    messages = [{"role": message.role, "content": _sendable(message.content)} for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages}
    if reasoning:
        body["max_completion_tokens"] = sampling.max_tokens
    else:
        body |= {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
        if sampling.top_p is not None and sampling.temperature > 0:
            body["top_p"] = sampling.top_p
    if sampling.seed is not None:
        # Draws of one question must not all be the same sample.
        body["seed"] = sampling.seed + request.draw
    if request.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = TOP_LOGPROBS
    if schema is not None:
        if structured == "json_schema":
            form = {"name": schema.__name__[:64], "strict": True, "schema": strict_schema(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        else:
            words = in_words(schema)
            if words not in messages[-1]["content"]:
                messages[-1]["content"] += words
            if structured == "json_object":
                body["response_format"] = {"type": "json_object"}
    return body


def in_words(schema: type[BaseModel]) -> str:
    """The reply's form as a last paragraph of the prompt, for servers that take no schema."""
    form = json.dumps(strict_schema(schema), ensure_ascii=False, separators=(",", ":"))
    return f"\n\nAnswer with one JSON object and nothing else. Its JSON schema:\n{form}"


def reply_of(raw: bytes, model: str, seconds: float) -> Reply:
    """The Reply in a 200 body. Raises ModelUnavailable (retryable, spent) for a body that is not one."""
    try:
        payload = _streamed(raw) if raw.lstrip().startswith(b"data:") else json.loads(raw)
        choice = payload["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        thoughts = message.get("reasoning_content") or message.get("reasoning")
    except (ValueError, LookupError, TypeError, AttributeError):
        if (words := error_words(raw)) is not None:
            # Some gateways send their upstream's error with status 200.
            raise ModelUnavailable(
                f"the server sent an error with status 200: {words}", retryable=True, status=200
            ) from None
        opening = redact(raw[:200].decode(errors="replace"))
        raise ModelUnavailable(
            f"the server's answer is no chat completion: {opening!r}", retryable=True, status=200, spent=True
        ) from None
    finish = _FINISH.get(str(choice.get("finish_reason")).lower(), "other")
    if refusal:
        text, finish = refusal, "refusal"
    if not text and isinstance(thoughts, str) and object_text(thoughts).startswith("{"):
        # A grammar and a reasoning parser together: the parser takes the whole answer for thoughts.
        text = object_text(thoughts)
    if not isinstance(text, str):
        if finish not in ("refusal", "length"):
            raise ModelUnavailable(_no_text(thoughts), retryable=True, status=200, spent=True)
        text = ""
    named = payload.get("model")
    return Reply(
        text=text,
        model=named if isinstance(named, str) and named else model,
        finish_reason=finish,
        usage=usage_of(payload.get("usage")),
        seconds=seconds,
        logprobs=_logprobs(choice.get("logprobs")),
        alternatives=_alternatives(choice.get("logprobs")),
    )


def _no_text(thoughts: Any) -> str:
    if not thoughts:
        return "the server sent a choice without a text"
    return (
        "the server sent its whole answer as reasoning_content and no content: start it without its reasoning parser "
        "(vLLM: --reasoning-parser), or set llm.structured: prompt"
    )


def _streamed(raw: bytes) -> dict[str, Any]:
    """The completion that lines of `data: {...}` add up to, from servers that stream whether or not they are asked."""
    payload: dict[str, Any] = {}
    texts: dict[str, str] = {}
    finish: Any = None
    for line in raw.decode(errors="replace").splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        chunk = json.loads(line[5:])
        if "error" in chunk:
            raise ValueError(chunk["error"])
        payload |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        for choice in chunk.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            for name, value in (choice.get("delta") or choice.get("message") or {}).items():
                if isinstance(value, str) and name != "role":
                    texts[name] = texts.get(name, "") + value
    return payload | {"choices": [{"message": {"content": None, **texts}, "finish_reason": finish}]}


def endpoint_of(base_url: str | None) -> str:
    """The server's address without user, password, query or last slash: fit for a cache key and for a message."""
    parts = urlsplit(base_url or OPENAI)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _sendable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot carry, as question marks."""
    return text.encode(errors="replace").decode()


def usage_of(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: Any) -> int | None:
    """A number of tokens, which some servers send as a float or a text; None for anything else."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else None


def _logprobs(given: Any) -> tuple[tuple[str, float], ...] | None:
    if not isinstance(given, dict) or not isinstance(given.get("content"), list):
        return None
    return tuple((str(token["token"]), float(token["logprob"])) for token in given["content"])


def _alternatives(given: Any) -> tuple[tuple[tuple[str, float], ...], ...] | None:
    """None where the server gives none: an empty list for every token counts as none."""
    if not isinstance(given, dict) or not isinstance(given.get("content"), list):
        return None
    alternatives = tuple(
        tuple((str(other["token"]), float(other["logprob"])) for other in token.get("top_logprobs") or ())
        for token in given["content"]
    )
    return alternatives if any(alternatives) else None
