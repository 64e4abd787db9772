"""A server on this machine that speaks OpenAI's chat completions without any model: for tests, benchmarks, rehearsals.

    python -m recloop.agents.chat.loopback --port 8000 --latency 0.25 --capacity 64 --fault error_500=0.05

It answers valid JSON for the request's schema, with the speed, the limits and the faults that are set. What it does to
a request depends on the request's text and on how often it has seen it, not on the order of arrival: the same study
meets the same faults whatever its concurrency. Anthropic's messages (`/v1/messages`) are answered, too, in words.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from aiohttp import web

from ...errors import ConfigError
from .loopback_bodies import anthropic_message, chat_completion, renamed, schema_of, tokens_in
from .schema_samples import fitting, sentence

FAULTS = (
    "error_429",
    "error_500",
    "error_503",
    "disconnect",
    "stall",
    "wrong_type",
    "malformed",
    "empty_choices",
    "missing_usage",
    "truncated",
    "refusal",
    "not_json",
    "wrong_schema",
    "unknown_handle",
)
"""Up to `missing_usage` the transport's, from `truncated` on the model's."""


_JSON = "application/json"


@dataclass(frozen=True)
class Canned:
    """An answer given beforehand: a status and a body (bytes and texts as they stand, anything else as JSON)."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Loopback:
    """The server, and what it has seen. Use it in an `async with`; `url` is what goes into `llm.base_url`.

    `latency` is the mean in seconds, `spread` the sigma of a log-normal around it (0: always the same). `capacity` is
    how many requests it works on at once; more are refused with 429 and `retry_after`, or wait where `queueing`.
    `faults` maps names of FAULTS to rates in [0, 1]. With an `api_key`, any other is refused with 401. `keep` keeps
    the bodies. `hold` keeps every answer back until so many requests are in flight for the first time (a test of
    concurrency without a clock). `script` answers by a request's body; on None the server answers as it would without.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        spread: float = 0.0,
        capacity: int | None = None,
        queueing: bool = False,
        retry_after: float = 1.0,
        faults: Mapping[str, float] | None = None,
        api_key: str | None = None,
        keep: bool = False,
        hold: int = 0,
        script: Callable[[dict[str, Any]], Canned | None] | None = None,
        seed: int = 0,
    ) -> None:
        unknown = sorted(set(faults or {}) - set(FAULTS))
        if unknown:
            raise ConfigError(f"no fault is called {unknown[0]!r}; there are: {', '.join(FAULTS)}")
        self.latency = latency
        self.spread = spread
        self.capacity = capacity
        self.queueing = queueing
        self.retry_after = retry_after
        self.faults = dict(faults or {})
        self.api_key = api_key
        self.keep = keep
        self.hold = hold
        self.script = script
        self.away: Literal["", "error_503", "disconnect"] = ""
        """Set to let every request fail so, as in an outage."""
        self.seed = seed
        self.counts: Counter[str] = Counter()
        """`requests`, `ok`, `over_capacity`, and every fault by name."""
        self.bodies: list[dict[str, Any]] = []
        self.queries: list[str] = []
        """Of the addresses, where bodies are kept."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""
        self._seen: Counter[bytes] = Counter()
        self._free: asyncio.Semaphore | None = None
        self._ended = asyncio.Event()
        self._crowded = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        """Begin to listen (port 0: a free one); the address up to and with /v1."""
        self._ended = asyncio.Event()
        self._crowded = asyncio.Event()
        self._free = asyncio.Semaphore(self.capacity) if self.capacity and self.queueing else None
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/messages", self._answer)
        app.router.add_get("/v1/loopback", self._report)
        app.router.add_post("/v1/loopback", self._report)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024)
        await site.start()
        bound: tuple[str, int] = self._runner.addresses[0]
        self.url = f"http://{host}:{bound[1]}/v1"
        return self.url

    async def stop(self) -> None:
        """Stop listening; stalled requests are let go."""
        self._ended.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Loopback:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _report(self, http: web.Request) -> web.Response:
        """For programs that have it in another process: what it has seen, and, by POST, `away`."""
        if http.method == "POST":
            self.away = (await http.json()).get("away", self.away)
        return web.json_response({**self.counts, "in_flight": self.in_flight, "most_in_flight": self.most_in_flight})

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        raw = await http.read()
        self.counts["requests"] += 1
        if self.api_key is not None and http.headers.get("Authorization") != f"Bearer {self.api_key}":
            self.counts["error_401"] += 1
            # As the real one does: the wrong key is spelled out in the message.
            return _error(401, f"Incorrect API key provided: {http.headers.get('Authorization', '')[7:]}")
        digest = hashlib.sha256(raw).digest()
        self._seen[digest[:12]] += 1
        rng = random.Random(int.from_bytes(digest[:8]) ^ (self.seed << 32) ^ self._seen[digest[:12]])
        fault = self.away or self._fault(rng)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.in_flight >= self.hold:
            self._crowded.set()
        try:
            if self.capacity and not self.queueing and self.in_flight > self.capacity:
                self.counts["over_capacity"] += 1
                return _error(429, "Rate limit reached", self.retry_after)
            if self._free is None:
                return await self._reply(http, json.loads(raw), digest, rng, fault)
            async with self._free:
                return await self._reply(http, json.loads(raw), digest, rng, fault)
        finally:
            self.in_flight -= 1

    async def _reply(
        self, http: web.Request, body: dict[str, Any], digest: bytes, rng: random.Random, fault: str
    ) -> web.StreamResponse:
        if self.keep:
            self.bodies.append(body)
            self.queries.append(http.query_string)
        if self.script is not None and (canned := self.script(body)) is not None:
            self.counts[f"canned_{canned.status}"] += 1
            sent = canned.body if isinstance(canned.body, bytes | str) else json.dumps(canned.body)
            sent = sent.encode() if isinstance(sent, str) else sent
            return web.Response(status=canned.status, body=sent, content_type=_JSON, headers=dict(canned.headers))
        self.counts[fault or "ok"] += 1
        if fault in ("error_429", "error_500", "error_503"):
            return _error(int(fault[-3:]), f"planted {fault}", self.retry_after if fault == "error_429" else None)
        if self.hold:
            await self._crowded.wait()
        if self.latency:
            await asyncio.sleep(self.latency * math.exp(rng.gauss(-(self.spread**2) / 2, self.spread)))
        if fault == "stall":
            await self._ended.wait()
        # The text itself is the question's alone, so that a repeated request gets the same answer.
        text, finish = self._text(body, random.Random(int.from_bytes(digest[8:16])), fault)
        if http.path.endswith("/messages"):
            return web.json_response(anthropic_message(body, text, finish))
        completion = chat_completion(body, text, finish)
        if fault == "empty_choices":
            completion["choices"] = []
        if fault == "missing_usage":
            del completion["usage"]
        if fault == "refusal":
            completion["choices"][0]["message"] |= {"content": None, "refusal": "I cannot help with that."}
        sent = json.dumps(completion).encode()
        if fault == "malformed":
            sent = sent[: len(sent) // 2]
        if fault == "disconnect":
            return await _broken_off(http, sent)
        return web.Response(body=sent, content_type="text/html" if fault == "wrong_type" else _JSON)

    def _fault(self, rng: random.Random) -> str:
        remainder = rng.random()
        for name, rate in self.faults.items():
            remainder -= rate
            if remainder < 0:
                return name
        return ""

    def _text(self, body: dict[str, Any], rng: random.Random, fault: str) -> tuple[str, str]:
        schema = schema_of(body)
        value = fitting(schema, rng) if schema else None
        text = json.dumps(value) if schema else sentence(rng)
        most = body.get("max_tokens") or body.get("max_completion_tokens") or 10**9
        if fault == "not_json":
            return f"Certainly! {sentence(rng)}", "stop"
        if fault == "wrong_schema":
            return json.dumps({"answer": 42}), "stop"
        if fault == "unknown_handle" and schema:
            return json.dumps(renamed(value)), "stop"
        if fault == "truncated":
            return text[: len(text) // 2], "length"
        return (text, "stop") if tokens_in(text) <= most else (text[: 4 * most], "length")


def _error(status: int, message: str, retry_after: float | None = None) -> web.Response:
    headers = {"Retry-After": f"{retry_after:g}"} if retry_after is not None else {}
    return web.json_response({"error": {"message": message, "type": "loopback"}}, status=status, headers=headers)


async def _broken_off(http: web.Request, sent: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _JSON, "Content-Length": str(len(sent))})
    await response.prepare(http)
    await response.write(sent[: len(sent) // 2])
    if http.transport is not None:
        http.transport.close()
    return response


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--latency", type=float, default=0.25, help="mean seconds a reply takes")
    parser.add_argument("--spread", type=float, default=0.0, help="sigma of the log-normal latency")
    parser.add_argument("--capacity", type=int, help="requests worked on at once")
    parser.add_argument("--queueing", action="store_true", help="let requests over capacity wait, as vLLM does")
    parser.add_argument("--retry-after", type=float, default=1.0, help="seconds that a 429 asks to wait")
    parser.add_argument("--api-key-env", help="the environment variable of the only key that is let in")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=RATE", help=", ".join(FAULTS))
    given = parser.parse_args()
    faults = {name: float(rate) for name, _, rate in (fault.partition("=") for fault in given.fault)}

    async def serve() -> None:
        server = Loopback(
            latency=given.latency,
            spread=given.spread,
            capacity=given.capacity,
            queueing=given.queueing,
            retry_after=given.retry_after,
            faults=faults,
            api_key=os.environ[given.api_key_env] if given.api_key_env else None,
        )
        print(await server.start(given.port), flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()
            print(dict(server.counts), flush=True)

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
