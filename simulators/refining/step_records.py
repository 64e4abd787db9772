"""The tasks of one step done, their records read, and their errors counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agents.agent import Agent, Records
from ...recsys.data import Dataset
from ..batch.records import read_records
from ..batch.summary import Summary
from ..studies.agent_runner import AgentRunner

ENOUGH_TASKS = 20
"""After so many tasks of a step without one usable reply, the rest is not asked."""


class Stopped(Exception):
    """A step ended before its last task, or in vain; the message says why."""


@dataclass
class StepRecords:
    """Does the tasks of one step and reads their records; keeps what each invocation of the runner came to."""

    runner: AgentRunner
    folder: Path
    identity: Mapping[str, Any]
    done: list[Summary] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    shared: Records | None = None
    """The sample's records, where they serve every block."""

    async def records(self, agent: Agent, data: Dataset, name: str) -> Records:
        """The records of the agent's tasks on `data`. Raises Stopped where the runner stops, or replies are useless."""
        summary = await self.runner.ask(agent, data, self.folder / name, self.identity, keep_memory=False)
        self.done.append(summary)
        records = read_records(self.folder / name)
        self.errors.update(records["error"][records["status"] != "ok"])
        if summary.stopped:
            raise Stopped(summary.stopped)
        tasks, ok = (sum(getattr(one, count) for one in self.done) for count in ("tasks", "ok"))
        if tasks >= ENOUGH_TASKS and not ok:
            raise Stopped(f"{self.folder.name}: none of {tasks} replies was usable ({self._commonest()})")
        return records

    def complaint(self, summary: Summary) -> str:
        """How many records are unusable, and the commonest error."""
        unusable = f"{summary.invalid} invalid, {summary.failed} failed of {summary.tasks} tasks"
        return f"{unusable}{self._commonest()}"

    def _commonest(self) -> str:
        [(error, count)] = self.errors.most_common(1) or [("", 0)]
        return f"; commonest, {count} times: {error}" if error else ""
