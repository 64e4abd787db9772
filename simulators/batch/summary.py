"""`Summary`: what a batch run did, in numbers that its records bear out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...agents.chat.types import Reply
from ...atomic import write_text
from .records import Totals

SUMMARY = "summary.json"


@dataclass(slots=True)
class InvocationUsage:
    """What one invocation has asked of the model, answers from the cache told apart."""

    calls: int = 0
    """Calls that were answered, usably or not."""
    cached: int = 0
    """Of these, answered from the reply cache."""
    tokens: int = 0
    """Prompt and completion tokens of the replies that were paid for."""
    cost: float | None = 0.0
    """US dollars of the replies that were paid for; None as soon as one price is unknown."""

    def count(self, reply: Reply) -> None:
        """Add a reply, with all turns it took."""
        self.calls += reply.turns
        if reply.cached:
            self.cached += reply.turns
            return
        self.tokens += (reply.usage.prompt_tokens or 0) + (reply.usage.completion_tokens or 0)
        self.cost = None if self.cost is None or reply.cost is None else self.cost + reply.cost


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's state after one invocation.

    `tasks` to `cost` sum over all records, whichever invocation made them, and are equal in a run that was killed and
    resumed. `resumed`, `cached`, `paid`, `paid_cost` and `seconds` speak of this invocation alone.
    """

    tasks: int
    ok: int
    invalid: int
    failed: int
    calls: int
    repairs: int
    unmatched: int
    """Replies that named an item which was not shown."""
    fenced: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """US dollars when the answers were first made; None where a price is unknown."""
    resumed: int
    """Tasks found finished at the start."""
    cached: int
    """Calls answered from the cache."""
    paid: int
    """Calls the model answered. What failed attempts cost besides stands in the run's usage."""
    paid_cost: float | None
    seconds: float
    torn: tuple[str, ...] = ()
    """Parts that could not be read, now under parts/torn/; their tasks were done again."""
    stopped: str = ""
    """Why the run ended before its last task; empty where it did not."""
    error: str = ""
    """The error that most of the failed and invalid records have; empty where there are none."""
    errors: int = 0
    """How many records have it."""

    @classmethod
    def of(
        cls,
        records: Totals,
        invocation: InvocationUsage,
        *,
        resumed: int,
        seconds: float,
        torn: Sequence[str] = (),
        stopped: str = "",
        error: tuple[str, int] = ("", 0),
    ) -> Summary:
        return cls(
            **asdict(records),
            resumed=resumed,
            cached=invocation.cached,
            paid=invocation.calls - invocation.cached,
            paid_cost=invocation.cost,
            seconds=seconds,
            torn=tuple(torn),
            stopped=stopped,
            error=error[0],
            errors=error[1],
        )

    @property
    def complete(self) -> bool:
        """Every task has a record that is not a failure, and where there are tasks, one of them is usable."""
        return not self.stopped and not self.failed and (self.ok > 0 or not self.tasks)

    @property
    def unusable(self) -> str:
        """`3 failed and 5 invalid of 60 tasks; the commonest reason (4 times): ...`; empty where all are usable."""
        if not self.failed and not self.invalid:
            return ""
        reason = f"; the commonest reason ({self.errors} times): {self.error}" if self.error else ""
        return f"{self.failed} failed and {self.invalid} invalid of {self.tasks} tasks{reason}"

    @property
    def rates(self) -> dict[str, float]:
        """Shares in [0, 1], NaN where nothing was counted.

        Of tasks: `valid`, `invalid`, `failed`. Of first answers (repair turns left out): `parse_valid`, of the right
        form at once; `repaired`, asked to correct their form; `unmatched`, naming an item that was not shown.
        """
        first = self.calls - self.repairs
        return {
            "valid": _share(self.ok, self.tasks),
            "invalid": _share(self.invalid, self.tasks),
            "failed": _share(self.failed, self.tasks),
            "parse_valid": _share(first - self.repairs, first),
            "repaired": _share(self.repairs, first),
            "unmatched": _share(self.unmatched, first),
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values; an undefined rate is null."""
        rates = {name: None if rate != rate else rate for name, rate in self.rates.items()}
        return {**asdict(self), "torn": list(self.torn), "rates": rates, "complete": self.complete}

    def write(self, folder: Path) -> None:
        write_text(folder / SUMMARY, json.dumps(self.as_json(), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Summary:
        """A summary written by `write`."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        later: dict[str, Any] = {"error": "", "errors": 0}  # fields that summaries of earlier versions lack
        values: dict[str, Any] = {
            name: later.get(name) if name not in stored and name in later else stored[name] for name in FIELDS
        }
        return cls(**{**values, "torn": tuple(values["torn"])})

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost is None else f"{self.cost:.4f} USD"
        parts = [
            f"{self.tasks} tasks: {self.ok} ok, {self.invalid} invalid, {self.failed} failed ({self.resumed} resumed)",
            f"{self.calls} calls ({self.paid} paid now, {self.cached} from the cache), {self.repairs} repairs",
            f"{self.prompt_tokens} + {self.completion_tokens} tokens, {cost}",
            f"{self.seconds:.1f} s",
        ]
        if self.torn:
            parts.append(f"{len(self.torn)} torn part(s) set aside: {', '.join(self.torn)}")
        if self.stopped:
            parts.append(f"stopped: {self.stopped}; the same command resumes")
        return "; ".join(parts)


FIELDS = tuple(field.name for field in fields(Summary))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
