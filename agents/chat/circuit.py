"""A circuit breaker: pauses all requests during an outage and probes with one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ...errors import ModelUnavailable

log = logging.getLogger(__name__)


class Circuit:
    """Opens after `failures` retryable errors with no answer between them; any answer closes it.

    While it is open one request, the probe, passes after each wait (`first_wait` seconds, doubling to `longest_wait`,
    and never sooner than a Retry-After). Once it has been open for `patience` seconds, all but the probe are turned
    away, so that a run against a server that is gone ends.
    """

    def __init__(
        self,
        *,
        failures: int = 10,
        patience: float = 600.0,
        first_wait: float = 0.5,
        longest_wait: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_to_open = failures
        self._patience = patience
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._clock = clock
        self._failures = 0
        self._reason = ""
        self._opened: float | None = None
        self._wait = first_wait
        self._probe_at = 0.0
        self._probing = False
        self._change: asyncio.Future[None] | None = None
        self.pauses = 0

    @property
    def open(self) -> bool:
        return self._opened is not None

    async def passage(self) -> bool:
        """Wait until a request may go out; True where it is the probe, whose outcome must be reported.

        Raises ModelUnavailable where the server has been away for longer than `patience`.
        """
        while self._opened is not None:
            now = self._clock()
            if not self._probing and now >= self._probe_at:
                self._probing = True
                return True
            if now - self._opened > self._patience:
                raise ModelUnavailable(f"no answer within {self._patience:g} s (llm.patience): {self._reason}")
            await self._changed(None if self._probing else self._probe_at - now)
        return False

    def succeeded(self) -> None:
        """An answer came: the server is there."""
        self._failures = 0
        if self._opened is not None:
            log.warning("the server is back", extra={"seconds": round(self._clock() - self._opened, 1)})
            self._opened, self._wait, self._probing = None, self._first_wait, False
            self._wake()

    def failed(self, error: ModelUnavailable, probe: bool) -> bool:
        """A retryable error came; whether the server is held to be away."""
        self._failures += 1
        self._reason = " ".join(str(error).split())[:300]
        retry_after = error.retry_after
        now = self._clock()
        if self._opened is None and self._failures >= self._failures_to_open:
            self._opened = now
            self.pauses += 1
            log.warning(
                "no answer: %s; all calls wait until the server is back, at most %g s (llm.patience)",
                self._reason,
                self._patience,
                extra={"failures": self._failures},
            )
            self._probe_at = now + max(self._wait, retry_after or 0.0)
        elif probe and self._opened is not None:
            self._wait = min(self._longest_wait, 2 * self._wait)
            self._probe_at = now + max(self._wait, retry_after or 0.0)
        if probe:
            self._probing = False
            self._wake()
        return self._opened is not None

    def abandoned(self) -> None:
        """The probe ended without an outcome (cancelled, out of budget): another may try."""
        if self._probing:
            self._probing = False
            self._wake()

    async def _changed(self, seconds: float | None) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._change], timeout=seconds)

    def _wake(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)
