"""A connection to an OpenAI-compatible server: a JSON body in, the raw body of a 200 answer out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAioHttpClient

from ...redaction import api_key
from .refusals import connection_error, late, status_error
from .wire import OPENAI, endpoint_of


class Server:
    """The server at `base_url` (None: api.openai.com), whose query, such as Azure's api-version, goes with every call.

    `api_key_env` names the environment variable that holds the key; None for a server that needs none. `timeout` is
    the most seconds from sending to the whole answer. `concurrency` sizes the connection pool. A call is sent once.
    Raises ConfigError for a key that is not set.
    """

    def __init__(
        self,
        base_url: str | None,
        api_key_env: str | None,
        *,
        timeout: float = 120.0,
        connect_timeout: float = 10.0,
        concurrency: int = 64,
    ) -> None:
        self.endpoint = endpoint_of(base_url)
        self._key = api_key(api_key_env)
        self._timeout = timeout
        address = urlsplit(base_url or OPENAI)
        self._address = urlunsplit((address.scheme, address.netloc, address.path, "", ""))
        self._query = dict(parse_qsl(address.query))
        # Above the bound, since a connection that is being closed still counts.
        self._limits = httpx.Limits(max_connections=concurrency + 16, max_keepalive_connections=concurrency + 16)
        self._deadlines = httpx.Timeout(timeout, connect=connect_timeout)
        self._client: AsyncOpenAI | None = None
        self._keeper: AsyncGenerator[AsyncOpenAI, None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The body of the answer to `body` at `path`. Raises ModelUnavailable, ReplyInvalid or ConfigError
        (`refusals.py`) for every other outcome."""
        try:
            # The client's own timeout starts anew with every byte; a server that trickles must not hold a worker.
            async with asyncio.timeout(self._timeout):
                # The raw response: building the client's typed objects costs more CPU than all the rest of a call.
                client = await self._connected()
                response = await client.post(path, cast_to=httpx.Response, body=body)
        except TimeoutError:
            raise late(self.endpoint, self._timeout) from None
        except APIStatusError as error:
            answer = error.response
            raise status_error(
                error.status_code, answer.headers, answer.content, model=str(body["model"]), endpoint=self.endpoint
            ) from None
        except APIConnectionError as error:
            raise connection_error(error, self.endpoint, self._timeout) from None
        return response.content

    async def _connected(self) -> AsyncOpenAI:
        # A connection belongs to the event loop it was opened in, and a notebook runs one loop after another.
        if self._client is None or self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            self._keeper = self._opened()
            self._client = await anext(self._keeper)
        return self._client

    async def _opened(self) -> AsyncGenerator[AsyncOpenAI, None]:
        # An event loop that ends closes its asynchronous generators, and this one its connections.
        async with AsyncOpenAI(
            api_key=self._key or "no-key",
            base_url=self._address,
            default_query=self._query,
            # Azure takes its key under this name.
            default_headers={"api-key": self._key} if self._key and "api-version" in self._query else None,
            max_retries=0,
            timeout=self._deadlines,
            http_client=DefaultAioHttpClient(timeout=self._deadlines, limits=self._limits),
        ) as client:
            yield client
