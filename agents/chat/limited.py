"""`limited`: bounds concurrency and rates, adapts to the server's refusals, and pauses during outages.

It stands inside `retried`, so that it sees every refusal and a request that waits for its next attempt holds no place.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ...errors import ModelUnavailable, ReplyInvalid
from .circuit import Circuit
from .concurrency import Concurrency
from .places import Places
from .rates import RateWindow, Reserved
from .token_bounds import estimated_prompt_tokens
from .types import Chat, Reply, Request

_REFUSED = (429, 503)


class Limits:
    """What bounds the calls to one server; chains that share a server share the object.

    At most `concurrency` requests are in flight, fewer while the server refuses or slows down; `rpm` and `tpm` bound
    requests and tokens (prompt and completion) in any 60 seconds. `timeout` is the provider's deadline: replies that
    take more than half of it count as overload. `patience` bounds an outage, in seconds.
    """

    def __init__(
        self,
        *,
        concurrency: int = 64,
        rpm: int | None = None,
        tpm: int | None = None,
        timeout: float | None = None,
        patience: float = 600.0,
        pace: Concurrency | None = None,
        circuit: Circuit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = pace or Concurrency(concurrency, slow_after=timeout / 2 if timeout else None)
        # With one in flight, three failures in a row are an outage; with many, ten, as each hundredth fails by itself.
        self.circuit = circuit or Circuit(failures=min(10, 2 + concurrency), patience=patience, clock=clock)
        self.places = Places(lambda: int(self.pace.limit))
        self.requests = RateWindow(rpm) if rpm else None
        self.tokens = RateWindow(tpm) if tpm else None
        self.timeout = timeout
        self.clock = clock


def limited(chat: Chat, limits: Limits) -> Chat:
    """`chat` within `limits`. An error that belongs to an outage is marked `busy`, so that it uses up no attempt."""
    pace, circuit, clock = limits.pace, limits.circuit, limits.clock

    async def send(request: Request, probe: bool) -> Reply:
        if limits.requests is not None:
            await limits.requests.reserve(1)
        reserved: Reserved | None = None
        if limits.tokens is not None:
            reserved = await limits.tokens.reserve(estimated_prompt_tokens(request) + request.sampling.max_tokens)
        sent = clock()
        try:
            reply = await chat(request)
        except ModelUnavailable as error:
            now = clock()
            if error.status in _REFUSED and error.retryable:
                pace.refused(sent, now)
            elif error.retryable and error.status is None and limits.timeout and now - sent >= limits.timeout:
                pace.stalled(sent, now)
            if not error.retryable:
                circuit.succeeded()
            elif circuit.failed(error, probe) and error.status is None:
                error.busy = True
            if limits.tokens is not None and reserved is not None and not error.spent:
                limits.tokens.settle(reserved, 0)
            raise
        pace.succeeded(sent, clock())
        circuit.succeeded()
        if limits.tokens is not None and reserved is not None and reply.usage.prompt_tokens is not None:
            limits.tokens.settle(reserved, reply.usage.prompt_tokens + (reply.usage.completion_tokens or 0))
        return reply

    async def bounded(request: Request) -> Reply:
        await limits.places.enter()
        try:
            probe = await circuit.passage()
            try:
                return await send(request, probe)
            except ModelUnavailable:
                raise
            except ReplyInvalid:
                # An unusable reply is a reply: the server is there.
                circuit.succeeded()
                raise
            except BaseException:
                if probe:
                    circuit.abandoned()
                raise
        finally:
            limits.places.leave()

    return bounded
