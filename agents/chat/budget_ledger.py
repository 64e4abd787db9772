"""`Leases`: one budget that several processes take instalments of, so that together they cannot pass it.

The ledger is a file that its users lock for a moment. What is granted never adds up to more than the budget, and no
process reserves beyond what it was granted. Instalments shrink with what is left, so that little lies idle at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .meter import Budget, Spent

LIMITS = ("calls", "tokens", "usd")


class Leases:
    """The ledger at `path`; `begin` makes it, every worker then opens it by its path alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def begin(cls, path: Path, budget: Budget, spent: Mapping[str, Spent], sharers: int) -> Leases:
        """A ledger of `budget` for `sharers` processes. `spent`: what earlier accounts, by name, have used up.

        No process may be drawing from an earlier ledger at `path`: its instalments are forgotten.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        granted = {name: {"calls": s.calls, "tokens": s.tokens, "usd": s.usd} for name, s in spent.items()}
        made = cls(path)
        with made._locked() as ledger:
            ledger.update(budget=budget.model_dump(), granted=granted, sharers=sharers)
        return made

    def granted(self, holder: str) -> Budget:
        """What `holder` may have spent in all, earlier runs included."""
        with self._locked() as ledger:
            return _limits(ledger, holder)

    def more(self, holder: str, calls: int, tokens: int, usd: float) -> Budget | None:
        """A further instalment of at least so much; the new total, None where the budget has not that much left.

        A limit that nothing is asked of stays as it is.
        """
        wanted = {"calls": calls, "tokens": tokens, "usd": usd}
        with self._locked() as ledger:
            instalments = {}
            for limit in LIMITS:
                if ledger["budget"][limit] is None or not wanted[limit]:
                    continue
                free = ledger["budget"][limit] - sum(granted[limit] for granted in ledger["granted"].values())
                share = free / (4 * ledger["sharers"])
                # Sums of floats: a millionth of a cent is no overrun.
                if wanted[limit] > free + 1e-8 * (limit == "usd"):
                    return None
                instalments[limit] = min(free, max(wanted[limit], share if limit == "usd" else int(share)))
            mine = ledger["granted"].setdefault(holder, dict.fromkeys(LIMITS, 0))
            for limit, instalment in instalments.items():
                mine[limit] += instalment
            return _limits(ledger, holder)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """The ledger, held; what the block makes of it is written before it is let go."""
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
            ledger: dict[str, Any] = json.loads(text)
            yield ledger
            changed = json.dumps(ledger, indent=1)
            if changed != text:
                temporary = self._path.with_suffix(".tmp")
                temporary.write_text(changed, encoding="utf-8")
                temporary.replace(self._path)
        finally:
            os.close(descriptor)


def _limits(ledger: Mapping[str, Any], holder: str) -> Budget:
    mine = ledger["granted"].get(holder, dict.fromkeys(LIMITS, 0))
    return Budget(**{limit: mine[limit] for limit in LIMITS if ledger["budget"][limit] is not None})
