"""AgentRunner a study's model: the chat, the embedder and the memories that one study's agents share."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ...agents.agent import Agent, ExplainsNoTasks
from ...agents.catalogue import item_texts
from ...agents.chat.build import limits_of
from ...agents.chat.meter import Meter
from ...agents.chat.replies import Replies
from ...agents.chat.types import Chat
from ...agents.memory.list_memory import ListMemory
from ...recsys.data import Dataset
from ..batch.progress import Silent, Watcher
from ..batch.runner import run_tasks
from ..batch.shards import run_sharded
from ..batch.summary import Summary
from ..batch.usage import open_meter, share_out, spent_by_shards
from .shard_worker import FACTORY
from .step_identity import folder_of, identity_of
from .step_tools import (
    CACHE,
    agent_context,
    chat_of,
    gather_caches,
    max_tasks,
    memory_of,
    span_of,
    tools_of,
)
from .steps import AgentContext, make_agent
from .study import Study


@dataclass
class AgentRunner:
    """An open chat with what surrounds it. Made by `open_runner`."""

    study: Study
    chat: Chat
    around: AgentContext
    watch: Watcher
    meter: Meter
    texts: list[str]
    """Of every item, in the order of their codes."""
    retry_failed: bool = False
    retry_invalid: bool = False
    limit: int | None = None
    """Most tasks of each step, the first ones; None: all."""
    totals: dict[str, Summary] = field(default_factory=dict)

    async def step(self, name: str, settings: Mapping[str, Any], data: Dataset, below: Path) -> tuple[Agent, Path]:
        """One step's agent, run on `data` in a folder under `below` that its identity names; the folder comes back.

        What was asked stands in `totals` under the folder's name.
        """
        agent = make_agent(name, settings, self.around)
        folder = folder_of(self.study, name, settings, data, below)
        if self.study.run.backend == "serial":
            await self.ask(agent, data, folder, identity_of(self.study, name, settings, data)["run"])
        else:
            self._share(agent, name, settings, data, folder)
        summary = self.totals[folder.name]
        if not (summary.tasks or summary.stopped) and isinstance(agent, ExplainsNoTasks):
            self.watch.say(f"WARNING {name}: 0 tasks: {agent.no_tasks_reason(data)}")
        return agent, folder

    async def ask(
        self, agent: Agent, data: Dataset, folder: Path, identity: Mapping[str, Any], *, keep_memory: bool = True
    ) -> Summary:
        """Every task of `agent` on the train side `data`, recorded in `folder`, done in this process."""
        embed = self.around.embed
        with closing(memory_of(self.study, embed, folder) if keep_memory else ListMemory(embed)) as memory:
            summary = await run_tasks(
                agent,
                data,
                tools_of(self.chat, memory),
                folder,
                seed=self.study.seed,
                concurrency=max_tasks(self.study.llm),
                retry_failed=self.retry_failed,
                retry_invalid=self.retry_invalid,
                limit=self.limit,
                progress=self.watch,
                total=sum(1 for _ in islice(agent.tasks(data), self.limit)),
                span=span_of(self.study, agent),
                **identity,
            )
        self.totals[folder.name] = summary
        return summary

    def _share(self, agent: Agent, name: str, settings: Mapping[str, Any], data: Dataset, folder: Path) -> None:
        """Every task of a step, done by the workers of the study's backend; blocks until they are through."""
        batch = self.study.run
        share_out(self.study.folder, self.study.llm.budget, batch.workers)
        config = {
            "study": self.study,
            "name": name,
            "settings": dict(settings),
            "data": data,
            "texts": self.texts,
            "folder": folder,
            "total": sum(1 for _ in islice(agent.tasks(data), self.limit)),
            "limit": self.limit,
        }
        try:
            with _interruptible():
                self.totals[folder.name] = run_sharded(
                    FACTORY,
                    config,
                    folder,
                    shards=batch.shards,
                    backend=batch.backend,
                    max_workers=batch.max_workers,
                    retry_failed=self.retry_failed,
                    retry_invalid=self.retry_invalid,
                    progress=self.watch,
                )
        finally:
            self.meter.elsewhere = spent_by_shards(self.study.folder)
            gather_caches(self.study)


@asynccontextmanager
async def open_runner(
    study: Study,
    train: Dataset,
    watch: Watcher | None = None,
    *,
    retry_failed: bool = False,
    retry_invalid: bool = False,
    limit: int | None = None,
) -> AsyncIterator[AgentRunner]:
    """The study's model, opened: cache shared below `study.out`, usage and budget in the study's own folder."""
    texts = list(item_texts(train).values())
    meter = open_meter(study.folder, study.llm.budget)
    gather_caches(study)
    with Replies(study.out / CACHE) as replies:
        limits = limits_of(study.llm)
        around = agent_context(study, study.llm, replies, meter, texts, limits)
        chat = chat_of(study, study.llm, replies, meter, texts, limits)
        try:
            observer = watch if watch is not None else Silent()
            yield AgentRunner(study, chat, around, observer, meter, texts, retry_failed, retry_invalid, limit)
        finally:
            meter.save()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends blocking work inside an event loop at once; asyncio's own handler would wait for the loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
