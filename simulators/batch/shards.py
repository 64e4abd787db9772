"""One run over many workers: each does the tasks whose keys hash to its shard, all write into one folder of parts.

`serial` does the shards one after another here, `processes` on the cores of this machine, `ray` on a cluster whose
machines share the run folder. The records are the same whichever it is.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from ...errors import ConfigError
from .lock import writing
from .parts import scan
from .processes import run_in_processes
from .progress import Silent, Standing, Watcher
from .ray_cluster import run_on_ray
from .records import commonest_error, totals
from .runner import record_end, say_torn
from .shard_job import Report, Shared, load, run_shard
from .summary import InvocationUsage, Summary

Backend = Literal["serial", "processes", "ray"]


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
    if backend not in BACKENDS:
        raise ConfigError(f"backend {backend!r} is unknown; choose serial, processes or ray")
    load(factory)
    folder, watch = Path(folder).resolve(), progress if progress is not None else Silent()
    shared = Shared(factory, dict(config), folder, shards, retry_failed, retry_invalid, anew)
    with writing(folder, None):
        torn: list[str] = []
        deque(scan(folder, ["key", "status"], torn), maxlen=0)
        say_torn(watch, folder, torn)
        standings = _Standings(folder, watch)
        try:
            done = BACKENDS[backend](shared, max_workers or shards, standings.report)
        except KeyboardInterrupt:
            watch.say(f"interrupted: finished records are kept in {folder}; the same command resumes")
            raise
        summary = _together(folder, done, torn)
        record_end(folder, summary)
        standings.report(ended=True)
        if summary.stopped:
            watch.say(f"{summary.stopped}: {summary.tasks} records are kept in {folder}; the same command resumes")
    return summary


def _serial(shared: Shared, max_workers: int, report: Report) -> list[Summary]:
    done = []
    for index in range(shared.shards):
        done.append(run_shard(shared, index))
        report()
    return done


def _together(folder: Path, done: Sequence[Summary], torn: Sequence[str]) -> Summary:
    paid = [summary.paid_cost for summary in done]
    invocation = InvocationUsage(
        calls=sum(summary.cached + summary.paid for summary in done),
        cached=sum(summary.cached for summary in done),
        cost=None if None in paid else sum(cost for cost in paid if cost is not None),
    )
    sums = totals(folder)
    return Summary.of(
        sums,
        invocation,
        resumed=sum(summary.resumed for summary in done),
        seconds=max(summary.seconds for summary in done),
        torn=torn,
        stopped=next((summary.stopped for summary in done if summary.stopped), ""),
        error=commonest_error(folder) if sums.ok < sums.tasks else ("", 0),
    )


class _Standings:
    """The parent's view: the sum of the workers' standings."""

    def __init__(self, folder: Path, watch: Watcher) -> None:
        self._folder, self._watch = folder / "shards", watch
        for old in self._folder.glob("*.json"):
            old.unlink()

    def report(self, *, ended: bool = False) -> None:
        standings = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self._folder.glob("*.json"))]
        if not standings:
            return
        total: dict[str, Any] = {**standings[0], "ended": ended}
        for field_ in fields(Standing):
            values = [standing[field_.name] for standing in standings]
            if field_.name in (
                "done",
                "resumed",
                "invalid",
                "failed",
                "calls",
                "cached",
                "tokens",
                "task_calls",
                "begun",
                "pace",
            ):
                total[field_.name] = sum(values)
            elif field_.name == "cost":
                total["cost"] = None if None in values else sum(values)
            elif field_.name == "seconds":
                total["seconds"] = max(values)
        self._watch.show(Standing(**total))


BACKENDS: dict[str, Callable[[Shared, int, Report], list[Summary]]] = {
    "serial": _serial,
    "processes": run_in_processes,
    "ray": run_on_ray,
}
"""Backend -> what does all shards, at most so many at a time, and reports while it works."""
