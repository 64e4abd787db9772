"""`Meter`: what was spent, by agent, and a hard limit on it that holds under concurrency, kill -9 and resume.

Before a call its largest possible cost is reserved; when its reply is there, the reservation becomes what it did cost.
A reservation that would pass the limit waits until those in flight have shown their true, smaller cost, and is refused
only if the limit would be passed even then.

The file holds what is settled and what is in flight, and with a limit it is written before a call goes out. After a
kill the next start counts what was in flight as spent ("lost at a kill"): at most the calls in flight, none twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ...errors import BudgetExceeded, RunError

LOST = "(lost at a kill)"
_SECONDS_BETWEEN_WRITES = 1.0
"""Without a limit the file is only a report."""


class Budget(BaseModel):
    """The most a run may spend; None is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    """Prompt and completion tokens together."""
    usd: float | None = Field(default=None, ge=0)


@dataclass(slots=True)
class Spent:
    """What was paid for: calls answered, and calls whose answer was lost but may have been charged."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    unpriced_calls: int = 0
    """Calls whose price is not known; `usd` is without them."""
    estimated_calls: int = 0
    """Calls of which the server did not say how many tokens they took; counted at our estimate."""
    lost_calls: int = 0
    """Calls whose answer never came whole; counted at our estimate of the prompt."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Spent) -> None:
        for field in fields(Spent):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that one call, or a batch of `calls`, may come to."""

    tokens: int
    usd: float
    calls: int = 1


class Meter:
    """One run's account. `path` is a JSON file; a Meter made over an existing one goes on where that stopped.

    `elsewhere` was spent under the same budget and stands in other accounts. `more(calls, tokens, usd)` is asked before
    the budget is called spent: what one more call lacks in; it gives a budget larger by that, or None (`leases.py`).
    """

    def __init__(
        self,
        budget: Budget | None = None,
        path: Path | None = None,
        *,
        elsewhere: Spent | None = None,
        more: Callable[[int, int, float], Budget | None] | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.path = path
        self.elsewhere = elsewhere or Spent()
        self._more = more
        self.agents: dict[str, Spent] = {}
        self._total = Spent()
        self._open_calls = 0
        self._open_tokens = 0
        self._open_usd = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._flushing: asyncio.Future[None] | None = None
        self._written = 0.0
        if path is not None and path.exists():
            self._resume(path)

    @property
    def total(self) -> Spent:
        """All agents together, what was lost at a kill included."""
        total = Spent()
        total.add(self._total)
        return total

    @property
    def limited(self) -> bool:
        return self.budget != Budget()

    async def reserve(self, tokens: int, usd: float, *, calls: int = 1) -> Reservation:
        """Room for so many more calls, written down before they are made. Raises BudgetExceeded where there is none."""
        wanted = Reservation(tokens, usd, calls)
        while (short := self._short(self._open_calls, self._open_tokens, self._open_usd, wanted)) is not None:
            if self._more is not None and (larger := self._more(*self._lacking(wanted))) is not None:
                self.budget = larger
                continue
            if not self._open_calls or self._short(0, 0, 0.0, wanted) is not None:
                others = "; this is one worker's share, the rest is granted to others" if self._more else ""
                raise BudgetExceeded(short + others)
            settled = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self._open_calls += calls
        self._open_tokens += tokens
        self._open_usd += usd
        if self.limited and self.path is not None:
            try:
                await self._flush()
            except BaseException:
                self._close(wanted)
                raise
        return wanted

    def settle(self, reservation: Reservation, agent: str, spent: Spent) -> None:
        """The call is over: count what it cost in place of what was reserved."""
        self.agents.setdefault(agent, Spent()).add(spent)
        self._total.add(spent)
        self._close(reservation)

    def release(self, reservation: Reservation) -> None:
        """The call was never made, or refused unread: nothing was spent."""
        self._close(reservation)

    def save(self) -> None:
        """Write the file now. A run does so when it ends; a killed one is mended at the next start."""
        if self.path is None:
            return
        state = {
            "budget": self.budget.model_dump(),
            "agents": {name: asdict(spent) for name, spent in sorted(self.agents.items())},
            "in_flight": {"calls": self._open_calls, "tokens": self._open_tokens, "usd": self._open_usd},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The process's number: two shards that share a folder by mistake must not write one temporary file.
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")
        temporary.replace(self.path)
        self._written = time.monotonic()

    def _short(self, open_calls: int, open_tokens: int, open_usd: float, wanted: Reservation) -> str | None:
        """Which limit `wanted` would pass, beside what is settled and the given open reservations."""
        if not self.limited:
            return None
        budget, spent = self.budget, self.total
        spent.add(self.elsewhere)
        if budget.calls is not None and spent.calls + open_calls + wanted.calls > budget.calls:
            return f"budget.calls = {budget.calls}: {spent.calls} made"
        if budget.tokens is not None and spent.tokens + open_tokens + wanted.tokens > budget.tokens:
            return f"budget.tokens = {budget.tokens}: {spent.tokens} spent, and the next call may take {wanted.tokens}"
        # Sums of floats: a millionth of a cent is no overrun.
        if budget.usd is not None and spent.usd + open_usd + wanted.usd > budget.usd + 1e-8:
            return f"budget.usd = {budget.usd:g}: {spent.usd:.4f} spent, and the next call may cost {wanted.usd:.4f}"
        return None

    def _lacking(self, wanted: Reservation) -> tuple[int, int, float]:
        """By how much `wanted` would pass each limit: calls, tokens, dollars."""
        budget, spent = self.budget, self.total
        spent.add(self.elsewhere)
        calls = 0 if budget.calls is None else spent.calls + self._open_calls + wanted.calls - budget.calls
        most = 0 if budget.tokens is None else spent.tokens + self._open_tokens + wanted.tokens - budget.tokens
        dollars = 0.0 if budget.usd is None else spent.usd + self._open_usd + wanted.usd - budget.usd
        return max(0, calls), max(0, most), max(0.0, dollars)

    def _close(self, reservation: Reservation) -> None:
        self._open_calls -= reservation.calls
        self._open_tokens -= reservation.tokens
        self._open_usd = self._open_usd - reservation.usd if self._open_calls else 0.0
        for settled in self._waiting:
            if not settled.done():
                settled.set_result(None)
        self._waiting.clear()
        if self.path is not None and time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.save()

    async def _flush(self) -> None:
        """Write the file once for all the calls that are about to go out in this turn of the event loop."""
        loop = asyncio.get_running_loop()
        if self._flushing is None:
            self._flushing = loop.create_future()
            loop.call_soon(self._flush_now, self._flushing)
        await asyncio.shield(self._flushing)

    def _flush_now(self, waiting: asyncio.Future[None]) -> None:
        self._flushing = None
        try:
            self.save()
        except OSError as error:
            waiting.set_exception(RunError(f"cannot write the account {self.path}: {error.strerror}"))
        else:
            waiting.set_result(None)

    def _resume(self, path: Path) -> None:
        self.agents = read_account(path)
        for spent in self.agents.values():
            self._total.add(spent)
        # Written down at once: a second kill must not count the same lost calls again.
        self.save()


def read_account(path: Path) -> dict[str, Spent]:
    """What each agent has spent by an account's file that nobody has open; calls in flight count as lost at a kill.

    Raises RunError for a file that cannot be read.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        agents = {name: Spent(**spent) for name, spent in state["agents"].items()}
        lost = state["in_flight"]
        if lost["calls"]:
            agents.setdefault(LOST, Spent()).add(
                Spent(calls=lost["calls"], prompt_tokens=lost["tokens"], usd=lost["usd"], lost_calls=lost["calls"])
            )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"the account {path} cannot be read ({type(error).__name__}: {error}): without it the budget cannot be "
            "kept; restore it, or move it away to begin at zero"
        ) from None
    return agents
