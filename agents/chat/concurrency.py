"""The number of requests that a server takes at once, by additive increase and multiplicative decrease.

The rule is TCP's (Chiu & Jain 1989): a refusal (429, 503) halves the number, at most once a round trip, since refusals
of requests that were in flight together are one event; a round trip without refusal adds a little. A server that queues
without refusing shows its load by latency: once replies come near the deadline, the number falls by a fifth.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

_CUT = 0.5
_CUT_WHEN_SLOW = 0.8
_STEPS = 32
"""A full climb takes about this many round trips."""
_MEMORY = 1 / 30
"""Weight of the newest outcome in the share of refusals."""
_LOW = 16
"""The background refusal rate is estimated at <= 1/16 of the maximum concurrency."""
_TOLERATED = 0.35
_ENOUGH = 30


class Concurrency:
    """The number now allowed, `limit`, between 1 and `most`; it begins at `most`.

    `slow_after` is the latency in seconds that counts as overload (None: latency says nothing). Times are those of one
    monotonic clock, in seconds.

    Some servers refuse at random, whatever the load (a gateway with one broken replica). The share refused at the
    lowest concurrencies is therefore estimated, up to 0.35, and a refusal rate up to one and a half times it cuts
    nothing.
    """

    def __init__(self, most: int, *, slow_after: float | None = None) -> None:
        self.most = most
        self.limit = float(most)
        self.cuts = 0
        self._slow_after = slow_after
        self._cut_at = float("-inf")
        self._share = 0.0
        self._low_outcomes = 0
        self._low_refusals = 0

    def succeeded(self, sent: float, now: float) -> None:
        """A request sent at `sent` was answered at `now`."""
        self._remember(False)
        if self._slow_after is not None and now - sent > self._slow_after:
            self._cut(sent, now, _CUT_WHEN_SLOW)
        else:
            self.limit = min(float(self.most), self.limit + max(1.0, self.most / _STEPS) / self.limit)

    def refused(self, sent: float, now: float) -> None:
        """A request sent at `sent` was turned away at `now` for the load on the server."""
        self._remember(True)
        if self._share > 1.5 * self._background + 0.05 or self._background == 0.0:
            self._cut(sent, now, _CUT)

    def stalled(self, sent: float, now: float) -> None:
        """No answer within the deadline: a queue too long, as far as it is known."""
        if self._slow_after is not None:
            self._cut(sent, now, _CUT_WHEN_SLOW)

    @property
    def _background(self) -> float:
        if self._low_outcomes < _ENOUGH:
            return 0.0
        return min(_TOLERATED, self._low_refusals / self._low_outcomes)

    def _remember(self, refused: bool) -> None:
        self._share += _MEMORY * (refused - self._share)
        if self.limit <= max(2.0, self.most / _LOW):
            if self._low_outcomes >= 10 * _ENOUGH:
                self._low_outcomes //= 2
                self._low_refusals //= 2
            self._low_outcomes += 1
            self._low_refusals += refused

    def _cut(self, sent: float, now: float, factor: float) -> None:
        if sent >= self._cut_at:
            self.limit = max(1.0, self.limit * factor)
            self._cut_at = now
            self.cuts += 1
            log.info("fewer requests at once", extra={"limit": int(self.limit), "most": self.most})
