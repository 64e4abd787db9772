"""Requests and tokens a minute: a sliding window whose limit holds in every interval of a minute.

A token bucket lets up to twice its rate into one minute. Here each reservation is stored until it is a minute old; it
is made with the request's upper bound, and shrinks to the true number when the reply is there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

MINUTE = 60.0


class Reserved:
    """One reservation in a window."""

    __slots__ = ("amount", "made")

    def __init__(self, made: float, amount: int) -> None:
        self.made = made
        self.amount = amount


class RateWindow:
    """At most `limit` in any `seconds`; those who wait are served in the order they came."""

    def __init__(
        self,
        limit: int,
        *,
        seconds: float = MINUTE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._entries: deque[Reserved] = deque()
        self._used = 0
        self._turn = asyncio.Lock()

    async def reserve(self, amount: int) -> Reserved:
        """Wait until `amount` fits; more than the whole limit counts as the whole of it."""
        amount = min(amount, self._limit)
        async with self._turn:
            while (wait := self._wait(amount)) > 0:
                # Entries shrink as replies come in, so room may be made before the oldest entry ends.
                await self._sleep(min(wait, 1.0))
            entry = Reserved(self._clock(), amount)
            self._entries.append(entry)
            self._used += amount
        return entry

    def settle(self, entry: Reserved, amount: int) -> None:
        """The request came to `amount`."""
        if entry.made > self._clock() - self._seconds:
            self._used += amount - entry.amount
            entry.amount = amount

    def _wait(self, amount: int) -> float:
        """Seconds until `amount` fits if nothing shrinks; 0 where it fits now."""
        now = self._clock()
        while self._entries and self._entries[0].made <= now - self._seconds:
            self._used -= self._entries.popleft().amount
        excess = self._used + amount - self._limit
        if excess <= 0:
            return 0.0
        for entry in self._entries:
            excess -= entry.amount
            if excess <= 0:
                return entry.made + self._seconds - now
        return self._seconds
