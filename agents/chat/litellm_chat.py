"""`litellm`: every vendor that litellm knows (`anthropic/...`, `gemini/...`, `bedrock/...`); imported only when chosen.

The import takes seconds and 166 MB. Its retries, cache and price download are off: the wrappers do that work.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx

from ...errors import ConfigError, LLMError, ModelUnavailable, ReplyInvalid
from ...redaction import api_key, redact
from .refusals import causes, connection_error, late, status_error
from .types import Chat, Reply, Request
from .wire import Structured, body_of, reply_of


def litellm_chat(
    model: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = None,
    timeout: float = 120.0,
    structured: Structured = "json_schema",
    reasoning: bool = False,
) -> Chat:
    """A Chat over litellm's `model` ("vendor/name"). Parameters and errors are those of `openai_chat`.

    `api_key_env` None leaves the key to litellm, which reads the vendor's own variable (ANTHROPIC_API_KEY ...).
    Raises ConfigError where that variable is not set, and for a `base_url` with a query, which litellm does not send.
    """
    litellm = _litellm()
    key = api_key(api_key_env)
    if base_url is not None and "?" in base_url:
        raise ConfigError(
            f"llm.base_url {redact(base_url)!r} has a query, which litellm does not send: take provider openai, or "
            "litellm's own variable (Azure: AZURE_API_VERSION)"
        )
    if key is None and base_url is None:
        _require_key(litellm, model)
    named: dict[str, Any] = {"base_url": base_url, "api_key": key}
    fixed = {name: value for name, value in named.items() if value is not None}
    endpoint = base_url or f"litellm {model.partition('/')[0]}"

    async def chat(request: Request) -> Reply:
        began = time.perf_counter()
        body = body_of(request, model, structured, reasoning)
        try:
            async with asyncio.timeout(timeout):
                response = await litellm.acompletion(
                    **body, **fixed, timeout=timeout, num_retries=0, max_retries=0, caching=False, stream=False
                )
        except TimeoutError:
            raise late(endpoint, timeout) from None
        except Exception as error:
            # litellm's exceptions have no root of their own, and a vendor's odd answer is any exception at all.
            raise _error(error, model, endpoint, timeout, time.perf_counter() - began) from None
        if response is None:
            # After a second 422 litellm returns nothing, and drops the server's explanation.
            raise status_error(422, {}, b"unprocessable request", model=model, endpoint=endpoint)
        return reply_of(response.model_dump_json().encode(), model, time.perf_counter() - began)

    return chat


def _litellm() -> Any:
    # Without this it fetches its price list from the network while being imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise ConfigError(f"provider litellm cannot be imported ({error}): pip install 'litellm>=1.106,<2'") from None
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    # A parameter that the vendor does not have (seed) is left out of the call.
    litellm.drop_params = True
    return litellm


def _require_key(litellm: Any, model: str) -> None:
    # Vendors whose credentials may come from elsewhere (AWS, Google Cloud) miss no variable that ends so.
    missing = litellm.validate_environment(model)["missing_keys"]
    keys = [variable for variable in missing if variable.endswith("_API_KEY")]
    if keys and len(keys) == len(missing):
        raise ConfigError(
            f"litellm reads the key of {model!r} from {' or '.join(sorted(keys))}, which is not set: set it, or name "
            "another variable in llm.api_key_env"
        )


def _error(error: Exception, model: str, endpoint: str, timeout: float, seconds: float) -> LLMError | ConfigError:
    """litellm's exception as recloop's: by the HTTP answer beneath it, which litellm itself changes (529 to 500)."""
    chain = list(causes(error))
    for cause in chain:
        if isinstance(cause, httpx.HTTPStatusError):
            answer = cause.response
            return status_error(answer.status_code, answer.headers, _body(answer), model=model, endpoint=endpoint)
    if any(isinstance(cause, httpx.TransportError) for cause in chain):
        return connection_error(error, endpoint, timeout)
    words = f"{endpoint}: {type(error).__name__}: {redact(str(error)).partition('Traceback')[0].strip()[:300]}"
    kind, status = type(error).__name__, getattr(error, "status_code", None)
    if kind == "Timeout" and seconds >= timeout:
        return late(endpoint, timeout)
    if "LLM Provider NOT provided" in str(error):
        return ConfigError(f"litellm knows no vendor of llm.model {model!r}; it reads `vendor/name`, `anthropic/...`")
    if "api_key" in str(error).lower() or "api key" in str(error).lower() or status == 401:
        return ConfigError(f"{words}; set the vendor's variable, or name one in llm.api_key_env")
    if kind == "ContentPolicyViolationError":
        return ReplyInvalid(f"declined by a content filter: {words}", kind="refused")
    if kind in ("UnsupportedParamsError", "InvalidRequestError"):
        return ModelUnavailable(words)
    if isinstance(status, int) and status not in (200, 422, 500):
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        return status_error(status, headers, str(error).encode(), model=model, endpoint=endpoint)
    # No HTTP error beneath: the answer came with status 200 and could not be read, or is an upstream's error.
    return ModelUnavailable(words, retryable=True, spent=True, status=200)


def _body(answer: httpx.Response) -> bytes:
    try:
        return answer.content
    except httpx.ResponseNotRead:
        return b""
