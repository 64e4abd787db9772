"""One run over many workers: each does the tasks whose keys hash to its shard, all write into one folder of parts.

`serial` does the shards one after another here, `processes` on the cores of this machine, `ray` on a cluster whose
machines share the run folder. The records are the same whichever it is.
"""

from __future__ import annotations

import importlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ...agents.agent import Agent
from ...agents.chat.traced import Span
from ...atomic import TEMPORARY
from ...errors import ConfigError
from ...recsys.data import Dataset
from .lock import writing
from .parts import scan
from .progress import Silent, Standing, Watcher
from .records import commonest_error, totals
from .runner import ToolsFor, record_end, run_batch, say_torn
from .summary import Asked, Summary

Backend = Literal["serial", "processes", "ray"]

SHARD = "shard"
"""What a factory's config names the worker's own number by: for files that are not shared."""


@dataclass(frozen=True)
class Job:
    """What a factory makes in each worker: all that `run_tasks` needs but the folder."""

    agent: Agent
    data: Dataset
    tools_for: ToolsFor
    seed: int
    concurrency: int = 16
    """Tasks at a time in *one* worker."""
    config: Mapping[str, Any] = field(default_factory=dict)
    prompts: Sequence[str] = ()
    llm: Mapping[str, Any] = field(default_factory=dict)
    embedder: Mapping[str, Any] = field(default_factory=dict)
    total: int | None = None
    """Tasks of the whole run, where known."""
    limit: int | None = None
    """Only so many of all tasks, the first."""
    span: Span = lambda _: nullcontext()
    close: Callable[[], None] = lambda: None
    """Called when the worker's share is done, or has failed."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What every worker of a run is told; picklable."""

    factory: str
    config: Mapping[str, Any]
    folder: Path
    shards: int
    retry_failed: bool = False
    retry_invalid: bool = False
    anew: bool = False


Report = Callable[[], None]
"""Called about twice a second while workers work."""


def run_sharded(
    factory: str,
    config: Mapping[str, Any],
    folder: Path | str,
    *,
    shards: int,
    backend: Backend = "serial",
    max_workers: int | None = None,
    retry_failed: bool = False,
    retry_invalid: bool = False,
    anew: bool = False,
    progress: Watcher | None = None,
) -> Summary:
    """Run the tasks of `factory` (`"package.module:function"`, called with `config`, returns a Job) in shards.

    `config` is picklable and holds no secret: those come from each worker's environment. A worker's has its number,
    too, under `SHARD`. At most `max_workers` run at a time (all shards,
    if None). A worker that dies is replaced and resumes its shard. The number of shards may
    change from one resume to the next. `Summary.cached` and `paid` leave out what dead workers asked.
    Raises what `run_tasks` raises, ConfigError for a factory that cannot be found, RunError for a shard whose worker
    keeps dying.
    """
    if shards < 1:
        raise ConfigError(f"shards: {shards}; at least 1 is needed")
    load(factory)
    folder, watch = Path(folder).resolve(), progress if progress is not None else Silent()
    shared = Shared(factory, dict(config), folder, shards, retry_failed, retry_invalid, anew)
    with writing(folder, None):
        torn: list[str] = []
        deque(scan(folder, ["key", "status"], torn), maxlen=0)
        say_torn(watch, folder, torn)
        standings = _Standings(folder, watch)
        try:
            done = _backend(backend)(shared, max_workers or shards, standings.report)
        except KeyboardInterrupt:
            watch.say(f"interrupted: finished records are kept in {folder}; the same command resumes")
            raise
        summary = _together(folder, done, torn)
        record_end(folder, summary)
        standings.report(ended=True)
        if summary.stopped:
            watch.say(f"{summary.stopped}: {summary.tasks} records are kept in {folder}; the same command resumes")
    return summary


def run_shard(shared: Shared, index: int) -> Summary:
    """Do one shard in this process; what every backend's workers call."""
    job: Job = load(shared.factory)({**shared.config, SHARD: index})
    try:
        return run_batch(
            job.agent,
            job.data,
            job.tools_for,
            shared.folder,
            seed=job.seed,
            concurrency=job.concurrency,
            config=job.config,
            prompts=job.prompts,
            llm=job.llm,
            embedder=job.embedder,
            total=job.total,
            limit=job.limit,
            retry_failed=shared.retry_failed,
            retry_invalid=shared.retry_invalid,
            anew=shared.anew,
            shard=(index, shared.shards),
            span=job.span,
            progress=_Reporter(shared.folder / "shards" / f"{index}.json"),
        )
    finally:
        job.close()


def load(factory: str) -> Callable[[dict[str, Any]], Job]:
    """The function that `"package.module:function"` names. Raises ConfigError where there is none."""
    module, _, name = factory.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"factory {factory!r} cannot be imported ({error}); name it `package.module:function`"
        ) from error
    if not callable(found):
        raise ConfigError(f"factory {factory!r} is no function")
    return found


def _backend(name: str) -> Callable[[Shared, int, Report], list[Summary]]:
    if name == "serial":
        return _serial
    if name == "processes":
        from .processes import run_in_processes

        return run_in_processes
    if name == "ray":
        from .ray_cluster import run_on_ray  # ray takes seconds to import and is an extra

        return run_on_ray
    raise ConfigError(f"backend {name!r} is unknown; choose serial, processes or ray")


def _serial(shared: Shared, max_workers: int, report: Report) -> list[Summary]:
    done = []
    for index in range(shared.shards):
        done.append(run_shard(shared, index))
        report()
    return done


def _together(folder: Path, done: Sequence[Summary], torn: Sequence[str]) -> Summary:
    paid = [summary.paid_cost for summary in done]
    asked = Asked(
        calls=sum(summary.cached + summary.paid for summary in done),
        cached=sum(summary.cached for summary in done),
        cost=None if None in paid else sum(cost for cost in paid if cost is not None),
    )
    sums = totals(folder)
    return Summary.of(
        sums,
        asked,
        resumed=sum(summary.resumed for summary in done),
        seconds=max(summary.seconds for summary in done),
        torn=torn,
        stopped=next((summary.stopped for summary in done if summary.stopped), ""),
        error=commonest_error(folder) if sums.ok < sums.tasks else ("", 0),
    )


@dataclass(slots=True)
class _Reporter:
    """A worker's watcher: leaves its standing in a file, where the parent finds it."""

    path: Path

    def show(self, standing: Standing) -> None:
        self.path.parent.mkdir(exist_ok=True)
        # Whole, but not synced: nothing is lost with it.
        temporary = self.path.with_name(self.path.name + TEMPORARY)
        temporary.write_text(json.dumps(asdict(standing)), encoding="utf-8")
        temporary.replace(self.path)

    def say(self, text: str) -> None:
        """The parent says it once, from the summaries."""

    def close(self) -> None:
        pass


class _Standings:
    """The parent's view: the sum of the workers' standings."""

    def __init__(self, folder: Path, watch: Watcher) -> None:
        self._folder, self._watch = folder / "shards", watch
        for old in self._folder.glob("*.json"):
            old.unlink()

    def report(self, *, ended: bool = False) -> None:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self._folder.glob("*.json"))]
        if not found:
            return
        total: dict[str, Any] = {**found[0], "ended": ended}
        for field_ in fields(Standing):
            values = [standing[field_.name] for standing in found]
            if field_.name in ("done", "resumed", "invalid", "failed", "calls", "cached", "tokens"):
                total[field_.name] = sum(values)
            elif field_.name == "cost":
                total["cost"] = None if None in values else sum(values)
            elif field_.name == "seconds":
                total["seconds"] = max(values)
        self._watch.show(Standing(**total))
