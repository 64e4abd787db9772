"""The OpenAI chat-completions form, both ways: a Request as a body, a body as a Reply, a refusal as an error.

Every server that speaks this form departs from it somewhere, so a reply is read by what it must hold (a choice with a
text), and everything else may be missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

from ...errors import ConfigError, LLMError, ModelUnavailable, ReplyInvalid
from .redaction import redact
from .schemas import strict_schema
from .types import FinishReason, Reply, Request, Usage

OPENAI = "https://api.openai.com/v1"

Structured = Literal["json_schema", "json_object", "prompt"]
"""How a server is told the reply's form: by a schema it enforces, as "some JSON", or in words only. The last two carry
the schema in the prompt, too."""

_FINISH: Mapping[str | None, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
}
TOP_LOGPROBS = 5
"""Alternatives asked for at each token: enough to hold both yes and no, and what every server that has them allows."""
_BUSY = frozenset({429, 502, 503, 504, 529})
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")


def body_of(request: Request, model: str, structured: Structured, reasoning: bool = False) -> dict[str, Any]:
    """The JSON body that asks `request` of `model`.

    `reasoning` is for models that accept neither temperature nor `max_tokens` (they call it `max_completion_tokens`).
    """
    sampling, schema = request.sampling, request.schema
    messages = [{"role": message.role, "content": _sendable(message.content)} for message in request.messages]
    body: dict[str, Any] = {"model": model, "messages": messages}
    if reasoning:
        body["max_completion_tokens"] = sampling.max_tokens
    else:
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
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
            messages[-1]["content"] += in_words(schema)
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
        payload = json.loads(raw)
        choice = payload["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, LookupError, TypeError, AttributeError):
        if (error := _error_in(raw)) is not None:
            # Some gateways send their upstream's error with status 200.
            raise ModelUnavailable(
                f"the server sent an error with status 200: {error}", retryable=True, status=200
            ) from None
        shown = redact(raw[:200].decode(errors="replace"))
        raise ModelUnavailable(
            f"the server's answer is no chat completion: {shown!r}", retryable=True, status=200, spent=True
        ) from None
    finish: FinishReason = _FINISH.get(choice.get("finish_reason"), "other")
    if refusal:
        text, finish = refusal, "refusal"
    if not isinstance(text, str):
        if finish not in ("refusal", "length"):
            raise ModelUnavailable("the server sent a choice without a text", retryable=True, status=200, spent=True)
        text = ""
    named = payload.get("model")
    return Reply(
        text=text,
        model=named if isinstance(named, str) and named else model,
        finish_reason=finish,
        usage=_usage(payload.get("usage")),
        seconds=seconds,
        logprobs=_logprobs(choice.get("logprobs")),
        alternatives=_alternatives(choice.get("logprobs")),
    )


def refused(
    status: int, headers: Mapping[str, str], raw: bytes, *, model: str, endpoint: str
) -> LLMError | ConfigError:
    """The error that a status other than 200 stands for.

    ConfigError where no other request would fare better (401: the key; 404: the address or the model), so that a run
    stops at its first call; ReplyInvalid ("refused") for a content filter; otherwise ModelUnavailable.
    """
    said = _error_in(raw) or redact(raw[:300].decode(errors="replace")).strip() or "no explanation"
    if status == 401:
        return ConfigError(f"{endpoint} refuses the API key (401): {said}; check the variable named in llm.api_key_env")
    if status == 404:
        return ConfigError(
            f"{endpoint} knows no model {model!r} or no such path (404): {said}; check llm.base_url, llm.model"
        )
    if status == 400 and "content_filter" in said:
        return ReplyInvalid(f"declined by a content filter: {said}", kind="refused")
    out_of_money = any(code in said for code in _NO_MONEY)
    busy = status in _BUSY and not out_of_money
    return ModelUnavailable(
        f"{endpoint} answered {status}: {said}",
        retryable=not out_of_money and (busy or status >= 500 or status in (408, 409, 425)),
        retry_after=retry_after(headers),
        status=status,
        busy=busy,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the server's wish: `retry-after-ms`, or `retry-after` in seconds or as a date; else None."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (wish := headers.get("retry-after")) is None:
            return None
        if wish.strip().replace(".", "", 1).isdigit():
            return float(wish)
        return max(0.0, parsedate_to_datetime(wish).timestamp() - time.time())
    except ValueError:
        return None


def endpoint_of(base_url: str | None) -> str:
    """The server's address without user, password, query or last slash: fit for a cache key and for a message."""
    parts = urlsplit(base_url or OPENAI)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _error_in(raw: bytes) -> str | None:
    """The server's own words for what went wrong, redacted; None where the body holds none."""
    try:
        error = json.loads(raw)["error"]
    except (ValueError, LookupError, TypeError):
        return None
    if isinstance(error, dict):
        words = [str(error[name]) for name in ("code", "type", "message") if error.get(name)]
        return redact(": ".join(words))[:300]
    return redact(str(error))[:300]


def _sendable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot carry, as question marks."""
    return text.encode(errors="replace").decode()


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _logprobs(given: Any) -> tuple[tuple[str, float], ...] | None:
    if not isinstance(given, dict) or not isinstance(given.get("content"), list):
        return None
    return tuple((str(token["token"]), float(token["logprob"])) for token in given["content"])


def _alternatives(given: Any) -> tuple[tuple[tuple[str, float], ...], ...] | None:
    """None where the server gives none: an empty list for every token counts as none."""
    if not isinstance(given, dict) or not isinstance(given.get("content"), list):
        return None
    found = tuple(
        tuple((str(other["token"]), float(other["logprob"])) for other in token.get("top_logprobs") or ())
        for token in given["content"]
    )
    return found if any(found) else None
