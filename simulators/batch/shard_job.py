"""What one worker of a sharded run does: `Job`, made by a factory in the worker, and `run_shard`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...agents.agent import Agent
from ...agents.chat.traced import Span
from ...atomic import TEMPORARY
from ...errors import ConfigError
from ...recsys.data import Dataset
from .progress import Standing
from .runner import ToolsFor, run_batch
from .summary import Summary

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
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"factory {factory!r} cannot be imported ({error}); name it `package.module:function`"
        ) from error
    if not callable(function):
        raise ConfigError(f"factory {factory!r} is no function")
    return function


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
