"""`openai`: any server that speaks OpenAI's chat completions, hosted or your own (vLLM, Ollama, llama.cpp, SGLang)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import httpx
from aiohttp import ClientConnectorError, ConnectionTimeoutError, SocketTimeoutError
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAioHttpClient

from ...errors import ModelUnavailable
from .redaction import api_key, redact
from .types import Chat, Reply, Request
from .wire import OPENAI, Structured, body_of, endpoint_of, refused, reply_of


def openai_chat(
    model: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = "OPENAI_API_KEY",
    timeout: float = 120.0,
    connect_timeout: float = 10.0,
    concurrency: int = 64,
    structured: Structured = "json_schema",
    reasoning: bool = False,
) -> Chat:
    """A Chat over `base_url` (None: api.openai.com). `timeout` is the most seconds from sending to the whole reply.

    `api_key_env` names the environment variable that holds the key; None for a server that wants none. `concurrency`
    sizes the connection pool. Requests are sent once: retrying, limiting and counting are the wrappers' work.

    Raises ModelUnavailable, ReplyInvalid ("refused", by a content filter), or ConfigError for a refused key or model.
    """
    endpoint = endpoint_of(base_url)
    key = api_key(api_key_env)
    # Above the bound, as a connection that is being closed still counts.
    limits = httpx.Limits(max_connections=concurrency + 16, max_keepalive_connections=concurrency + 16)
    deadlines = httpx.Timeout(timeout, connect=connect_timeout)
    client: AsyncOpenAI | None = None
    keeper: AsyncGenerator[AsyncOpenAI, None] | None = None
    home: asyncio.AbstractEventLoop | None = None

    async def opened() -> AsyncGenerator[AsyncOpenAI, None]:
        # An event loop that ends closes its asynchronous generators, and this one its connections: nobody has to.
        async with AsyncOpenAI(
            api_key=key or "no-key",
            base_url=base_url or OPENAI,
            max_retries=0,
            timeout=deadlines,
            http_client=DefaultAioHttpClient(timeout=deadlines, limits=limits),
        ) as made:
            yield made

    async def connected() -> AsyncOpenAI:
        # A connection belongs to the event loop it was opened in, and a notebook runs one loop after another.
        nonlocal client, keeper, home
        if client is None or home is not asyncio.get_running_loop():
            home = asyncio.get_running_loop()
            keeper = opened()
            client = await anext(keeper)
        return client

    async def chat(request: Request) -> Reply:
        began = time.perf_counter()
        body = body_of(request, model, structured, reasoning)
        try:
            # The client's own timeout starts anew with every byte; a server that trickles must not hold a worker.
            async with asyncio.timeout(timeout):
                # The raw response: building the client's typed objects costs more CPU than all the rest of a call.
                server = await connected()
                response = await server.post("/chat/completions", cast_to=httpx.Response, body=body)
        except TimeoutError:
            raise _late(endpoint, timeout) from None
        except APIStatusError as error:
            raise refused(
                error.status_code, error.response.headers, error.response.content, model=model, endpoint=endpoint
            ) from None
        except APIConnectionError as error:
            raise _lost(error, endpoint, timeout) from None
        return reply_of(response.content, model, time.perf_counter() - began)

    return chat


def _late(endpoint: str, timeout: float) -> ModelUnavailable:
    return ModelUnavailable(f"{endpoint} gave no whole answer in {timeout:g} s", retryable=True, spent=True)


def _lost(error: APIConnectionError, endpoint: str, timeout: float) -> ModelUnavailable:
    """A connection that could not be made (busy: nothing was asked) or that broke on the way (spent: it was)."""
    # The transport in between calls refused and broken connections alike a timeout; what lies beneath tells them apart.
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    if any(isinstance(cause, SocketTimeoutError) for cause in causes):
        return _late(endpoint, timeout)
    unmade = any(isinstance(cause, (ClientConnectorError, ConnectionTimeoutError)) for cause in causes)
    root = causes[-1]
    return ModelUnavailable(
        f"{endpoint} {'cannot be reached' if unmade else 'broke off'}: {type(root).__name__}: {redact(str(root))}",
        retryable=True,
        busy=unmade,
        spent=not unmade,
    )
