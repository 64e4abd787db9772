"""One step over all blocks: tasks on a sample of the log first, then block by block, and the state that it leaves.

    run/steps/<step>/sample, block-00000      records of the step's tasks
    run/states/<step>/...                     what it leaves of each block (`states.py`)

A block whose state is there is passed over, so a killed run resumes. How an agent works in parts is its own contract
(`agents/blockwise.py`); one without it sees a log of one block, or single users if its step says `by_user`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...agents.agent import Agent, ExplainsNoTasks, Records, Reporting, longest_history
from ...agents.blockwise import BlockTasks, Blockwise, WholeLog
from ...agents.payloads import PAYLOAD_FORM
from ...errors import ConfigError
from ...identity import code_digest, digest, settings_of
from ...recsys.data import Dataset
from ..batch.records import read_records
from ..batch.summary import Summary
from ..studies.agent_runner import AgentRunner
from ..studies.step_identity import model_of, wordings_of
from ..studies.steps import Step, check_step, make_agent, step_of
from .config import RefineConfig
from .edits import with_edits_marked
from .limits import apply_limits
from .parts import Parts
from .states import BlockStates
from .step_records import StepRecords, Stopped
from .step_summary import summary_of_step

RECORDS = "records"
"""In a block's report: how many of its records are ok, invalid and failed."""


@dataclass(frozen=True)
class FinishedStep:
    """A step that has run: its agent, its state, its records' folder, and what reads reasons of them."""

    agent: str
    state: str
    records: Path
    reasons: Callable[[Records], Mapping[tuple[str, int], str]]


@dataclass
class Refining:
    """A refinement in progress: the blocks, and what each step has left."""

    parts: Parts
    config: RefineConfig
    folder: Path
    runner: AgentRunner
    log: WholeLog
    steps: list[FinishedStep] = field(default_factory=list)
    summaries: dict[str, Summary] = field(default_factory=dict)
    """Step -> its records and what was paid for them."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Step -> what its agent reports."""
    warnings: list[str] = field(default_factory=list)
    version: str = ""
    """Of the last state's records: a retried task changes it, and with it the names of all later states."""

    def __post_init__(self) -> None:
        self.states = BlockStates(self.parts, self.folder / "states")

    async def step(self, place: int, name: str, settings: Mapping[str, Any]) -> None:
        """Do the tasks of one step, fold their records, and leave its state. Raises Stopped."""
        whole = settings_of(check_step(name, settings, f"step {place}"))
        identity = self._identity(name, {key: whole[key] for key in whole.keys() - step_of(name).fold_only})
        about: list[Any] = [self.state, self.version, self.parts.blocks.folder.name, self.parts.catalogue.fingerprint]
        about += [self.config.seed, self.config.sample_rows, identity]
        agent = make_agent(name, settings, self.runner.around)
        code = code_digest("agents", "recsys", "simulators/refining", type(agent))
        title = f"{place}-{name.replace(':', '.')}"
        folder = self.folder / "steps" / f"{title}-{digest(about)}"
        state = f"{title}-{digest([whole, about, code])}"
        asking = StepRecords(self.runner, folder, identity)
        try:
            work = await self._block_tasks(agent, step_of(name), asking)
            self._reopen_failed(state)
            for block in self.states.open_blocks(state):
                await self._work(work, state, block, asking)
        finally:
            self.summaries[title] = summary = summary_of_step(folder, asking.done)
        if summary.tasks and not summary.ok:
            raise Stopped(f"{title}: no reply was usable ({asking.complaint(summary)})")
        if work.limits is not None:
            apply_limits(self.states, state, work.limits)
        reports = self.states.reports(state)
        self.version = digest([report.pop(RECORDS) for report in reports])
        self.reports[title] = work.total(reports)
        self._warn(title, agent, summary, asking)
        self.steps.append(FinishedStep(agent.name, state, folder, work.reasons))

    async def _block_tasks(self, agent: Agent, step: Step, asking: StepRecords) -> BlockTasks:
        if not isinstance(agent, Blockwise):
            return self._plain_tasks(agent, step)
        first = agent.sample_tasks(self.log)
        shared = await asking.records(first, self.log.sample, "sample") if first is not None else None
        work = agent.block_tasks(self.log, shared)
        if work.agent is None and shared is not None:
            asking.shared = shared
        return work

    def _plain_tasks(self, agent: Agent, step: Step) -> BlockTasks:
        """The tasks of an agent that knows nothing of blocks."""
        if self.log.blocks > 1 and not step.by_user:
            raise ConfigError(
                f"agent {agent.name!r} needs the whole log at once, which is cut into {self.log.blocks} parts; raise "
                f"block_mb (now {self.config.block_mb:g}), or, if its tasks depend on single users alone, write "
                "by_user=True in its Step"
            )

        def report(data: Dataset, records: Records, folded: Dataset) -> dict[str, Any]:
            return agent.report(data, records) if isinstance(agent, Reporting) else {}

        return BlockTasks(agent, agent.fold, report)

    async def _work(self, work: BlockTasks, state: str, block: int, asking: StepRecords) -> None:
        """Do a block's tasks, fold the records, and leave the block's state."""
        data = self.dataset(block)
        if work.agent is not None:
            records = await asking.records(work.agent, data, f"block-{block:05d}")
        else:
            assert asking.shared is not None
            records = asking.shared
        folded = work.fold(data, records)
        report = work.report(data, records, folded)
        if work.agent is not None:
            folded = with_edits_marked(data, folded, work.agent.name)
        counts = records["status"].value_counts().to_dict()
        self.states.write(state, block, folded, {**report, RECORDS: counts})

    def _reopen_failed(self, state: str) -> None:
        """Where failed tasks are done again, the whole state is made again: quota and share act on all blocks."""
        if not self.runner.retry_failed or self.states.open_blocks(state):
            return
        if any(report[RECORDS].get("failed") for report in self.states.reports(state)):
            shutil.rmtree(self.states.folder / state)

    def _warn(self, title: str, agent: Agent, summary: Summary, asking: StepRecords) -> None:
        if not (summary.tasks or summary.stopped):
            data = self.log.sample
            why = f"no user or item has what this step needs; {longest_history(data)}"
            if isinstance(agent, ExplainsNoTasks):
                why = agent.no_tasks_reason(data)
            self.warnings.append(f"{title}: 0 tasks, nothing changed: {why}")
        elif summary.invalid + summary.failed:
            self.warnings.append(f"{title}: {asking.complaint(summary)}")

    @property
    def state(self) -> str | None:
        """The state that the last step has left; None before the first."""
        return self.steps[-1].state if self.steps else None

    def dataset(self, block: int) -> Dataset:
        """A block as the last step has left it."""
        return self.states.dataset(self.state, block)

    def later_states(self, block: int) -> Iterator[tuple[str, Dataset]]:
        """(agent, block) as each step has left it."""
        for step in self.steps:
            yield step.agent, self.states.dataset(step.state, block)

    def reasons(self, block: int) -> dict[tuple[str, int], str]:
        """(record, item code) -> why, of the block's rows whose agents state reasons."""
        reasons: dict[tuple[str, int], str] = {}
        for step in self.steps:
            place = step.records / f"block-{block:05d}"
            if place.is_dir():
                reasons |= step.reasons(read_records(place))
        return reasons

    def _identity(self, name: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "config": {**recorded, "payloads": PAYLOAD_FORM},
            "prompts": wordings_of(name, self.config.prompts),
            "llm": model_of(self.runner.study),
            "embedder": settings_of(self.config.embedder),
        }


def whole_log(parts: Parts, sample_rows: int, seed: int) -> WholeLog:
    """What agents may know of the log beyond one block."""
    sample = partial(parts.sample_users, seed=seed)
    return WholeLog(parts.sample(sample_rows), parts.counts(), parts.blocks.count, lambda n, least: sample(n, least))
