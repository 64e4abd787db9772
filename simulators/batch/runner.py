"""A batch run: an agent's tasks, streamed through a bounded pool of workers into the parts of a run folder.

Nothing depends on order: a run that is concurrent, killed, resumed or sharded has the records of a serial one (seconds
aside). There is no checkpointer; a killed task starts again and finds its replies in the cache.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ...agents.agent import Agent, Status, Task, Tools
from ...agents.chat.traced import Span
from ...agents.memory.memory import Memory
from ...errors import ConfigError, RecloopError, RunError
from ...recsys.data import Dataset
from ...redaction import redact
from .event_loop import run_async
from .gc_freeze import few_pauses
from .lock import locked, writing
from .manifest import Identity, close_manifest, open_manifest
from .parts import PartWriter, drop_unfinished
from .progress import CallPace, Silent, Standing, Watcher
from .records import WHOLE, Shard, belongs, commonest_error, finished_keys, totals
from .summary import InvocationUsage, Summary
from .task import Graph, Halt, run_task

ToolsFor = Callable[[Task], Tools]
"""What a task's graph may reach. Its `tally` is replaced by a fresh one a task."""

log = logging.getLogger(__name__)

ENOUGH_TASKS = 30
"""A run whose first so many tasks all end without a usable reply is stopped: the rest would be paid for in vain."""
BEAT = 0.5
"""Seconds between two looks at the progress and at records that wait to be written."""


async def run_tasks(
    agent: Agent,
    data: Dataset,
    tools_for: ToolsFor,
    folder: Path | str,
    *,
    seed: int,
    concurrency: int = 16,
    retry_failed: bool = False,
    retry_invalid: bool = False,
    limit: int | None = None,
    progress: Watcher | None = None,
    total: int | None = None,
    config: Mapping[str, Any] | None = None,
    prompts: Sequence[str] = (),
    llm: Mapping[str, Any] | None = None,
    embedder: Mapping[str, Any] | None = None,
    anew: bool = False,
    shard: Shard | None = None,
    span: Span = lambda _: nullcontext(),
) -> Summary:
    """Do every task of `agent.tasks(data)` that `folder` has no record of, at most `concurrency` at a time.

    `data` is the train side. `seed`, `config` (the agent's), `prompts` (digests), `llm` and `embedder` (their settings
    that count) go to the manifest; a resume with any of them, the agent or the data changed is refused, unless `anew`
    sets the earlier run aside. `retry_failed` and `retry_invalid` do such tasks again, `limit` only the first so many
    of all tasks. `total`, the number of tasks where it is known, gives the progress an end. `span` is entered around
    each task, for traces. With `shard`, a worker of `shards.run_sharded` does its share only.

    An unusable reply makes an `invalid` record, a model that cannot be had a `failed` one. A spent budget, a refused
    key, or no usable reply in the first `ENOUGH_TASKS` tasks ends the run early with `Summary.stopped`; so does
    cancellation (Ctrl-C), which is then raised on. Any other exception ends it as RuntimeError naming the task.
    Finished records are kept in every case, and running the same again resumes. Raises RunError for a folder that is in
    use, is another run's, or cannot be written.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency is {concurrency}; at least 1 is needed")
    # Traces would send every prompt to a third party; who wants them says so in the environment.
    os.environ.setdefault("LANGSMITH_TRACING", "false")
    folder, watch = Path(folder), progress if progress is not None else Silent()
    identity = Identity(
        agent.name, seed, data.name, data.fingerprint, config or {}, tuple(prompts), llm or {}, embedder or {}
    )
    with writing(folder, shard):
        with locked(folder / "manifest.lock", wait=60):
            open_manifest(folder, identity, anew=anew)
        share = shard if shard is not None else WHOLE
        drop_unfinished(folder, share[0])
        torn: list[str] = []
        # Workers of a sharded run share the parts: their parent has looked for torn ones.
        aside = torn if shard is None else None
        finished = finished_keys(
            folder, retry_failed=retry_failed, retry_invalid=retry_invalid, shard=share, torn=aside
        )
        say_torn(watch, folder, torn)
        run = _Run(agent, tools_for, PartWriter(folder, share[0]), watch, finished, share, total, span)
        log.info("run begins", extra={"agent": agent.name, "folder": str(folder), "finished": len(finished)})
        try:
            with few_pauses():
                await run.work(data, concurrency, limit)
        finally:
            run.flush()
            finished.clear()
            sums = totals(folder, shard=share)
            summary = Summary.of(
                sums,
                run.invocation,
                resumed=run.resumed,
                seconds=run.seconds,
                torn=torn,
                stopped=run.stopped,
                error=commonest_error(folder, shard=share) if sums.ok < sums.tasks else ("", 0),
            )
            if shard is None:
                record_end(folder, summary)
            log.info("run ends", extra={"agent": agent.name, "folder": str(folder), "summary": str(summary)})
            watch.show(run.standing(ended=True))
            if run.stopped:
                watch.say(f"{run.stopped}: {summary.tasks} records are kept in {folder}; the same command resumes")
    return summary


def run_batch(
    agent: Agent, data: Dataset, tools_for: ToolsFor, folder: Path | str, *, seed: int, **options: Any
) -> Summary:
    """`run_tasks` for synchronous callers, also inside a running event loop; takes the same arguments.

    Raises KeyboardInterrupt on Ctrl-C.
    """
    return run_async(run_tasks(agent, data, tools_for, folder, seed=seed, **options))


def say_torn(watch: Watcher, folder: Path, torn: Sequence[str]) -> None:
    """Name the parts that were set aside."""
    for name in torn:
        watch.say(f"{name} could not be read: set aside in {folder / 'parts' / 'torn'}, its tasks are done again")


def record_end(folder: Path, summary: Summary) -> None:
    """Write summary.json and the counts of manifest.json. The caller holds the folder's lock."""
    summary.write(folder)
    close_manifest(folder, summary.as_json(), finished=not summary.stopped)


@dataclass
class _Run:
    """One invocation at work: the shared stream of tasks, the counts, the reason to stop."""

    agent: Agent
    tools_for: ToolsFor
    writer: PartWriter
    watch: Watcher
    finished: set[str]
    shard: Shard
    total: int | None
    span: Span
    invocation: InvocationUsage = field(default_factory=InvocationUsage)
    resumed: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    crash: Exception | None = None
    memories: dict[int, Memory] = field(default_factory=dict)
    """Those that finished tasks may have written to since the last flush."""
    task_calls: int = 0
    """Calls of finished tasks."""
    begun: int = 0
    pace: CallPace = field(default_factory=CallPace)
    began: float = field(default_factory=time.monotonic)

    async def work(self, data: Dataset, concurrency: int, limit: int | None) -> None:
        """Do the tasks; returns when all are done or, after `stopped` is set, when those in flight are."""
        stream, graph = islice(enumerate(self.agent.tasks(data)), limit), self.agent.graph()
        workers = [asyncio.create_task(self._worker(stream, graph)) for _ in range(concurrency)]
        beat = asyncio.create_task(self._beat())
        try:
            await asyncio.gather(*workers)
        except asyncio.CancelledError:
            self.stopped = "interrupted"
            raise
        finally:
            for job in (*workers, beat):
                job.cancel()
            await asyncio.gather(*workers, beat, return_exceptions=True)
        if self.crash is not None:
            raise self.crash

    async def _worker(self, stream: Iterator[tuple[int, Task]], graph: Graph) -> None:
        doing = f"the tasks of agent {self.agent.name!r}"
        passed = 0
        try:
            for position, task in stream:
                if self.stopped:
                    return
                finished = task.key in self.finished
                if finished or not belongs(task.key, self.shard):
                    self.resumed += finished
                    passed += 1
                    if passed % 1_000 == 0:
                        await asyncio.sleep(0)  # a million finished tasks must not hold up the clock and the others
                    continue
                doing = f"task {task.key!r}"
                tools = self.tools_for(task)
                self.begun += 1
                with self.span(task.key):
                    record = await run_task(self.agent.name, task, graph, tools, self.invocation)
                self.memories[id(tools.memory)] = tools.memory
                self.statuses[record.status] += 1
                self.task_calls += record.calls
                self.errors[record.error] += record.status != "ok"
                self._stop_in_vain()
                if self.writer.add(record, position):
                    await asyncio.to_thread(self.flush)
                doing = f"the tasks of agent {self.agent.name!r}"
        except Halt as halt:
            self.stopped = self.stopped or str(halt)
        # Anything that is not a model's failure is a bug or a full disk, and would meet every other task too.
        except Exception as error:
            self._crashed(doing, error)

    def _stop_in_vain(self) -> None:
        tasks = self.statuses.total()
        if tasks < ENOUGH_TASKS or self.statuses["ok"] or self.stopped:
            return
        [(error, count)] = self.errors.most_common(1)
        self.stopped = (
            f"none of the first {tasks} tasks had a usable reply ({count} times: {error[:300]}); try another "
            "`llm.structured` (json_object or prompt), or another model"
        )

    def flush(self) -> None:
        """Write the buffered records, after the memories they rest on. Raises RunError where the disk refuses."""
        try:
            self.writer.flush(first=self._flush_memories)
        except OSError as error:
            raise RunError(
                f"records cannot be written ({error}); free the disk and start the run again: it resumes, and replies "
                "that were paid for come from the cache"
            ) from error

    def _flush_memories(self) -> None:
        while self.memories:
            self.memories.popitem()[1].flush()

    async def _beat(self) -> None:
        """Twice a second: show the standing and write records that have waited long enough."""
        try:
            while True:
                self.watch.show(self.standing())
                await asyncio.sleep(BEAT)
                if self.writer.due():
                    await asyncio.to_thread(self.flush)
        except RunError as error:
            self._crashed("the run", error)

    def _crashed(self, doing: str, error: Exception) -> None:
        if self.crash is None:
            kind: type[Exception] = RunError if isinstance(error, RecloopError) else RuntimeError
            if isinstance(error, MemoryError):
                kind = MemoryError  # callers know what takes less memory
            self.crash = kind(redact(f"{doing} stopped the run: {type(error).__name__}: {error}"))
            self.crash.__cause__ = error
            self.stopped = self.stopped or str(self.crash)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def standing(self, *, ended: bool = False) -> Standing:
        seconds = self.seconds
        return Standing(
            agent=self.agent.name,
            done=self.resumed + self.statuses.total(),
            total=self.total,
            resumed=self.resumed,
            invalid=self.statuses["invalid"],
            failed=self.statuses["failed"],
            calls=self.invocation.calls,
            cached=self.invocation.cached,
            tokens=self.invocation.tokens,
            cost=self.invocation.cost,
            seconds=seconds,
            ended=ended,
            task_calls=self.task_calls,
            begun=self.begun,
            pace=self.pace.update(seconds, self.invocation.calls),
        )
