"""Room for a number of requests at once, first come first served; the number may change while requests wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Places:
    """A semaphore whose size is asked for anew each time a place is taken or given back.

    room: how many requests there is room for now. A waiting request enters when one leaves, so a larger room is noticed
    then.
    """

    def __init__(self, room: Callable[[], float]) -> None:
        self._room = room
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait for a place."""
        if self._taken < self._room() and not self._waiting:
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
        while self._waiting and self._taken < self._room():
            place = self._waiting.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)
