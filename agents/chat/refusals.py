"""Which error a failed HTTP call stands for: one table of statuses for every provider, with the setting to change.

401, 404, an invalid key            ConfigError: no request would fare better, the run stops
402, no quota left                  ModelUnavailable, hopeless: the run stops
400 by a content filter             ReplyInvalid ("refused"): this task fails
429, 502, 503, 504, 529             ModelUnavailable, retryable and busy: waiting uses up no attempt
408, 409, 425, other 5xx            ModelUnavailable, retryable
other 4xx                           ModelUnavailable: this task fails
no connection, or a broken one      ModelUnavailable, retryable (busy where nothing was sent)
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import httpx

from ...errors import ConfigError, LLMError, ModelUnavailable, ReplyInvalid
from ...redaction import redact

BUSY = frozenset({429, 502, 503, 504, 529})
RETRYABLE = frozenset({408, 409, 425})

_NO_MONEY = re.compile(r"insufficient_quota|billing_hard_limit_reached|credit balance is too low", re.I)
_KEY_REFUSED = re.compile(r"api[ _-]?key[ _](is )?(not valid|invalid)|(invalid|incorrect)[ _]api[ _-]?key", re.I)
TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum context|too many tokens"
    r"|(prompt|input|request)( is| was)? too (long|large)",
    re.I,
)
"""Words of servers for a prompt that is longer than the model takes: a fault of one request, not of the setting."""

_HINTS = (
    (TOO_LONG, "shorten the prompts, or lower llm.max_tokens"),
    (re.compile(r"temperature.*top_p|top_p.*temperature", re.I | re.S), "set llm.temperature or llm.top_p, not both"),
    (re.compile(r"max_(completion_)?tokens.*(too large|at most|exceed)", re.I | re.S), "lower llm.max_tokens"),
    (
        re.compile(r"temperature|top_p|max_(completion_)?tokens", re.I),
        "set llm.reasoning: true for a model that takes neither temperature nor max_tokens",
    ),
    (
        re.compile(r"response_?format|json[ _](schema|mode)|additional_?properties|structured output|schema", re.I),
        "set llm.structured: json_object, or prompt",
    ),
    (re.compile(r"\bseed\b", re.I), "leave out llm.seed"),
)


def status_error(
    status: int, headers: Mapping[str, str], raw: bytes, *, model: str, endpoint: str
) -> LLMError | ConfigError:
    """The error that a status other than 200 stands for, by the table above; `raw` is the body."""
    words = error_words(raw) or redact(raw[:300].decode(errors="replace")).strip() or "no explanation"
    if status == 401 or (status in (400, 403) and _KEY_REFUSED.search(words)):
        return ConfigError(
            f"{endpoint} refuses the API key ({status}): {words}; check the variable named in llm.api_key_env"
        )
    if status == 404:
        return ConfigError(
            f"{endpoint} knows no model {model!r} or no such path (404): {words}; check llm.base_url, llm.model"
        )
    if status == 400 and "content_filter" in words:
        return ReplyInvalid(f"declined by a content filter: {words}", kind="refused")
    no_money = status == 402 or _NO_MONEY.search(words) is not None
    busy = status in BUSY and not no_money
    hint = next((hint for pattern, hint in _HINTS if pattern.search(words)), "") if status in (400, 413, 422) else ""
    return ModelUnavailable(
        f"{endpoint} answered {status}: {words}{'; ' if hint else ''}{hint}",
        retryable=not no_money and (busy or status >= 500 or status in RETRYABLE),
        retry_after=retry_after(headers),
        status=status,
        busy=busy,
        hopeless=no_money,
    )


def connection_error(error: BaseException, endpoint: str, timeout: float) -> ModelUnavailable:
    """The error for a call that brought no HTTP answer: never connected, broken off, or late."""
    chain = list(causes(error))
    if any(isinstance(cause, (aiohttp.SocketTimeoutError, httpx.ReadTimeout, httpx.WriteTimeout)) for cause in chain):
        return late(endpoint, timeout)
    unmade = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, httpx.ConnectError, httpx.ConnectTimeout)
    sent = not any(isinstance(cause, unmade) for cause in chain)
    # Clean-up that fails after the transport's error ends the chain without being the cause.
    root = next((cause for cause in reversed(chain) if isinstance(cause, OSError)), chain[-1])
    return ModelUnavailable(
        f"{endpoint} {'broke off' if sent else 'cannot be reached'}: {type(root).__name__}: {redact(str(root))[:300]}",
        retryable=True,
        busy=not sent,
        spent=sent,
    )


def late(endpoint: str, timeout: float) -> ModelUnavailable:
    """The error for a call that was not answered within its deadline of `timeout` seconds."""
    return ModelUnavailable(f"{endpoint} gave no whole answer in {timeout:g} s", retryable=True, spent=True)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause, that one's cause and so on. Clients wrap the transport's error, which alone says why."""
    here: BaseException | None = error
    while here is not None:
        yield here
        here = here.__cause__ or here.__context__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date; else None."""
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


def error_words(raw: bytes) -> str | None:
    """The server's own explanation in a body, redacted, at most 300 characters; None where it holds none."""
    try:
        payload = json.loads(raw)
        # Gemini's OpenAI-compatible server sends its errors in a list.
        error = (payload[0] if isinstance(payload, list) else payload)["error"]
    except (ValueError, LookupError, TypeError):
        return None
    if isinstance(error, dict):
        words = [str(error[name]) for name in ("code", "type", "message") if error.get(name)]
        return redact(": ".join(words))[:300]
    return redact(str(error))[:300] if error else None
