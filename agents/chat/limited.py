"""`limited`: as many requests in flight, and a minute, as the server bears, and none while it is away.

It stands inside `retried`, so that it sees every refusal and a request that waits for its next attempt holds no place.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ...errors import ModelUnavailable, ReplyInvalid
from .circuit import Circuit
from .concurrency import Concurrency
from .metered import prompt_tokens
from .rates import Entry, Window
from .types import Chat, Reply, Request

_REFUSED = (429, 503)


def limited(
    chat: Chat,
    *,
    concurrency: int = 64,
    rpm: int | None = None,
    tpm: int | None = None,
    timeout: float | None = None,
    patience: float = 600.0,
    pace: Concurrency | None = None,
    circuit: Circuit | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Chat:
    """`chat` with at most `concurrency` requests in flight, fewer while the server refuses or slows down.

    `rpm` and `tpm` are the most requests and tokens (prompt and completion) in any 60 seconds. `timeout` is the
    provider's deadline: replies that take more than half of it count as overload. `patience` bounds an outage, in
    seconds. `pace` and `circuit` may be handed in to be looked at.

    An error that belongs to an outage is marked `busy`, so that it uses up no attempt.
    """
    pace = pace or Concurrency(concurrency, slow_after=timeout / 2 if timeout else None)
    # With one in flight, three failures in a row are an outage; with many, ten, as each hundredth may fail by itself.
    circuit = circuit or Circuit(failures=min(10, 2 + concurrency), patience=patience, clock=clock)
    places = Places(pace)
    requests = Window(rpm) if rpm else None
    tokens = Window(tpm) if tpm else None

    async def send(request: Request, probe: bool) -> Reply:
        if requests is not None:
            await requests.reserve(1)
        entry: Entry | None = None
        if tokens is not None:
            entry = await tokens.reserve(prompt_tokens(request) + request.sampling.max_tokens)
        sent = clock()
        try:
            reply = await chat(request)
        except ModelUnavailable as error:
            now = clock()
            if error.status in _REFUSED and error.retryable:
                pace.refused(sent, now)
            elif error.retryable and error.status is None and timeout and now - sent >= timeout:
                pace.stalled(sent, now)
            if not error.retryable:
                circuit.succeeded()
            elif circuit.failed(error.retry_after, probe) and error.status is None:
                error.busy = True
            if tokens is not None and entry is not None and not error.spent:
                tokens.settle(entry, 0)
            raise
        pace.succeeded(sent, clock())
        circuit.succeeded()
        if tokens is not None and entry is not None and reply.usage.prompt_tokens is not None:
            tokens.settle(entry, reply.usage.prompt_tokens + (reply.usage.completion_tokens or 0))
        return reply

    async def bounded(request: Request) -> Reply:
        await places.enter()
        try:
            probe = await circuit.passage()
            try:
                return await send(request, probe)
            except ModelUnavailable:
                raise
            except ReplyInvalid:
                # A reply that cannot be used is one nevertheless: the server is there.
                circuit.succeeded()
                raise
            except BaseException:
                if probe:
                    circuit.abandoned()
                raise
        finally:
            places.leave()

    return bounded


class Places:
    """Room for `pace.limit` at once, first come first served."""

    def __init__(self, pace: Concurrency) -> None:
        self._pace = pace
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait for a place."""
        if self._taken < int(self._pace.limit) and not self._waiting:
            self._taken += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            # Cancelled in the very moment it was given a place: the next one must have it.
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place back."""
        self._taken -= 1
        while self._waiting and self._taken < int(self._pace.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)
