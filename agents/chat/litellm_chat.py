"""`litellm`: every vendor that litellm knows (`anthropic/...`, `gemini/...`, `bedrock/...`); imported only when chosen.

The import takes seconds and 166 MB. Its retries, cache and price download are off: those are the wrappers' work.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from ...errors import ConfigError, LLMError, ModelUnavailable
from .redaction import api_key, redact
from .types import Chat, Reply, Request
from .wire import Structured, body_of, refused, reply_of


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
    """
    litellm = _litellm()
    key = api_key(api_key_env)
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
            raise ModelUnavailable(
                f"{endpoint} gave no whole answer in {timeout:g} s", retryable=True, spent=True
            ) from None
        except litellm.exceptions.Timeout as error:
            raise ModelUnavailable(_said(endpoint, error), retryable=True, spent=True) from None
        except litellm.exceptions.APIConnectionError as error:
            # litellm raises this for a refused connection and for one that broke in the middle alike.
            raise ModelUnavailable(_said(endpoint, error), retryable=True, spent=True) from None
        except litellm.exceptions.APIError as error:
            raise _status_error(error, model, endpoint) from None
        except litellm.exceptions.OpenAIError as error:
            raise _status_error(error, model, endpoint) from None
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
    # A vendor without top_p or seed is asked without, rather than not at all.
    litellm.drop_params = True
    return litellm


def _status_error(error: Any, model: str, endpoint: str) -> LLMError | ConfigError:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return ModelUnavailable(_said(endpoint, error), retryable=True, spent=True)
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    return refused(status, headers, str(error).encode(), model=model, endpoint=endpoint)


def _said(endpoint: str, error: Exception) -> str:
    return f"{endpoint}: {type(error).__name__}: {redact(str(error))[:300]}"
