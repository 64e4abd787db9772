"""`openai`: any server that speaks OpenAI's chat completions, hosted or your own (vLLM, Ollama, llama.cpp, SGLang).

The form is one POST of one JSON body, sent by aiohttp itself: the openai package's client takes 2 ms of CPU a call for
what takes 0.2 ms here, and a core that keeps 256 calls a second under way has 4 ms for everything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ...errors import ConfigError, ModelUnavailable
from .redaction import api_key, redact
from .types import Chat, Reply, Request
from .wire import OPENAI, Structured, body_of, endpoint_of, refused, reply_of

_KEPT_IDLE = 4.0
"""Seconds; below the 5 after which uvicorn (vLLM, SGLang) closes: a connection it is closing must not be written to."""


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
    sizes the connection pool. Requests are sent once: retrying, limiting and counting are the wrappers' work. A proxy
    is taken from the environment (HTTPS_PROXY, NO_PROXY).

    Raises ModelUnavailable, ReplyInvalid ("refused", by a content filter), or ConfigError for a refused key or model.
    """
    endpoint = endpoint_of(base_url)
    address, headers = _addressed(base_url or OPENAI, api_key(api_key_env))
    proxy = _proxy(endpoint)
    session: aiohttp.ClientSession | None = None
    keeper: AsyncGenerator[aiohttp.ClientSession, None] | None = None
    home: asyncio.AbstractEventLoop | None = None

    async def opened() -> AsyncGenerator[aiohttp.ClientSession, None]:
        # An event loop that ends closes its asynchronous generators, and this one its connections: nobody has to.
        async with aiohttp.ClientSession(
            # Above the bound, as a connection that is being closed still counts.
            connector=aiohttp.TCPConnector(limit=concurrency + 16, keepalive_timeout=_KEPT_IDLE),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        ) as made:
            yield made

    async def connected() -> aiohttp.ClientSession:
        # A connection belongs to the event loop it was opened in, and a notebook runs one loop after another.
        nonlocal session, keeper, home
        if session is None or home is not asyncio.get_running_loop():
            home = asyncio.get_running_loop()
            keeper = opened()
            session = await anext(keeper)
        return session

    async def chat(request: Request) -> Reply:
        began = time.perf_counter()
        body = json.dumps(body_of(request, model, structured, reasoning), separators=(",", ":")).encode()
        try:
            server = await connected()
            # One deadline for all of it: a server that trickles must not hold a worker.
            async with asyncio.timeout(timeout), server.post(address, data=body, proxy=proxy) as response:
                status, said, raw = response.status, response.headers, await response.read()
        except aiohttp.InvalidURL:
            raise ConfigError(f"llm.base_url {endpoint!r} is no address such as http://host:8000/v1") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ModelUnavailable(_told(endpoint, "cannot be reached", error), retryable=True, busy=True) from None
        except TimeoutError:
            raise ModelUnavailable(
                f"{endpoint} gave no whole answer in {timeout:g} s", retryable=True, spent=True
            ) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ModelUnavailable(_told(endpoint, "broke off", error), retryable=True, spent=True) from None
        if status >= 300:
            raise refused(status, said, raw, model=model, endpoint=endpoint)
        return reply_of(raw, model, time.perf_counter() - began)

    return chat


def _addressed(base_url: str, key: str | None) -> tuple[str, Mapping[str, str]]:
    """Where to post, and with which headers. A key comes before a user and password in the address."""
    path = f"{base_url.rstrip('/')}/chat/completions"
    headers = {"Content-Type": "application/json", "User-Agent": "recloop"}
    if key is None:
        return path, headers
    user = urlsplit(path).netloc.rpartition("@")
    return path.replace(f"{user[0]}{user[1]}", "", 1), {**headers, "Authorization": f"Bearer {key}"}


def _proxy(endpoint: str) -> str | None:
    parts = urlsplit(endpoint)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _told(endpoint: str, what: str, error: Exception) -> str:
    return f"{endpoint} {what}: {type(error).__name__}: {redact(str(error))}"
