"""How far a run is: a bar where stderr is a terminal, one line a second where it is not. Never on stdout."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. Calls, tokens and cost are this invocation's; `cost` in US dollars, None where unknown."""

    agent: str
    done: int
    """Tasks with a record, resumed ones included."""
    total: int | None
    """All tasks; None where nobody counted them."""
    resumed: int
    invalid: int
    failed: int
    calls: int
    cached: int
    tokens: int
    cost: float | None
    seconds: float
    ended: bool = False
    """Whether this is the last report of this run."""
    task_calls: int = 0
    """Calls of the tasks that this invocation has finished."""
    begun: int = 0
    """Tasks that this invocation has begun, finished ones included."""
    pace: float = 0.0
    """Calls a second of late (`CallPace`)."""

    @property
    def calls_per_second(self) -> float:
        return self.calls / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to the end: calls still expected over the pace of late. None before the first finished task of this
        invocation, without a total, and while the tasks under way have made all calls that those finished foretell.

        A task is expected to make as many calls as those finished. Short tasks end first, so that it is at least the
        mean over all that were begun. Calls of tasks under way are done already, not to do.
        """
        finished = self.done - self.resumed
        if self.total is None or not finished:
            return None
        left = self.total - self.done
        if not self.pace or not self.task_calls:
            return left * self.seconds / finished
        calls_a_task = max(self.task_calls / finished, self.calls / max(self.begun, finished))
        expected = left * calls_a_task - (self.calls - self.task_calls)
        if expected <= 0 and left > finished:
            return None
        return max(expected, left * min(1.0, calls_a_task)) / self.pace


class CallPace:
    """Calls a second over the last `WINDOW` seconds: a resume's first replies come from the cache, all at once."""

    WINDOW = 30.0

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])

    def update(self, seconds: float, calls: int) -> float:
        """The pace, `seconds` after the start and after `calls` calls in all."""
        self._samples.append((seconds, calls))
        while len(self._samples) > 2 and self._samples[1][0] <= seconds - self.WINDOW:
            self._samples.popleft()
        earlier, earlier_calls = self._samples[0]
        return (calls - earlier_calls) / (seconds - earlier) if seconds > earlier else 0.0


class Watcher(Protocol):
    """Receives how far a run is."""

    def show(self, standing: Standing) -> None:
        """Called about once a second, and at the end."""

    def say(self, text: str) -> None:
        """A line for the reader: an interruption, a torn part."""

    def close(self) -> None:
        """No more will come; called by whoever made it, after the last of its runs."""


def watcher(stream: TextIO | None = None, *, json_lines: bool = False) -> Watcher:
    """A bar if `stream` (stderr if None) is a terminal, else one line a second; `json_lines` makes those JSON."""
    stream = stream if stream is not None else sys.stderr
    return Bar(stream) if stream.isatty() and not json_lines else Lines(stream, json_lines=json_lines)


class Bar:
    """A rich progress bar: tasks, calls, tokens, cost, calls a second, time left."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[spent]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(file=stream),
        )
        self._row: TaskID | None = None
        self._progress.start()

    def show(self, standing: Standing) -> None:
        if self._row is None:
            self._row = self._progress.add_task(standing.agent, total=standing.total, spent="", left="")
        self._progress.update(
            self._row,
            completed=standing.done,
            total=standing.total,
            spent=f"{_spent(standing)}{_troubles(standing)}",
            left="" if standing.eta is None or standing.ended else f"{duration(standing.eta)} left",
        )
        if standing.ended:
            self._row = None  # the next run gets a row of its own

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


class Lines:
    """One line a second at most, `name=value` or JSON, for logs; a run's last standing is always written."""

    def __init__(self, stream: TextIO, *, json_lines: bool = False, every: float = 1.0) -> None:
        self._stream, self._json, self._every = stream, json_lines, every
        self._written = float("-inf")

    def show(self, standing: Standing) -> None:
        if standing.ended or time.monotonic() - self._written >= self._every:
            self._put(self._line(standing))
            self._written = time.monotonic()

    def say(self, text: str) -> None:
        self._put(json.dumps({"message": text}) if self._json else text)

    def close(self) -> None:
        pass

    def _put(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _line(self, standing: Standing) -> str:
        values = {
            "agent": standing.agent,
            "done": standing.done,
            "total": standing.total,
            "invalid": standing.invalid,
            "failed": standing.failed,
            "calls": standing.calls,
            "cached": standing.cached,
            "tokens": standing.tokens,
            "cost": None if standing.cost is None else round(standing.cost, 6),
            "calls_per_second": round(standing.calls_per_second, 1),
            "eta": None if standing.eta is None else round(standing.eta),
            "seconds": round(standing.seconds, 1),
        }
        if self._json:
            return json.dumps(values)
        return "progress " + " ".join(f"{name}={'?' if value is None else value}" for name, value in values.items())


class Silent:
    """Says nothing; lines for the reader go to the log."""

    def show(self, standing: Standing) -> None:
        pass

    def say(self, text: str) -> None:
        log.warning(text)

    def close(self) -> None:
        pass


def duration(seconds: float) -> str:
    """`4.2 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _spent(standing: Standing) -> str:
    cost = "cost ?" if standing.cost is None else f"${standing.cost:.4f}"
    return (
        f"{standing.calls} calls ({standing.cached} cached) {standing.tokens} tokens {cost} "
        f"{standing.calls_per_second:.1f}/s"
    )


def _troubles(standing: Standing) -> str:
    return f" {standing.failed} failed {standing.invalid} invalid" if standing.failed or standing.invalid else ""
