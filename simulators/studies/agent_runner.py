"""AgentRunner a study's model: the chat, the embedder and the memories that one study's agents share."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ... import prompts
from ...agents.agent import Agent, ExplainsNoTasks, Task, Tools
from ...agents.catalogue import item_texts
from ...agents.chat.build import build_chat, build_likelihood, limits_of
from ...agents.chat.config import LLMConfig
from ...agents.chat.limited import Limits
from ...agents.chat.meter import Meter
from ...agents.chat.replies import Replies
from ...agents.chat.traced import Span, task_spans, traced, tracer
from ...agents.chat.types import Chat
from ...agents.memory.chroma import ChromaMemory
from ...agents.memory.embeddings import embedder
from ...agents.memory.list_memory import ListMemory
from ...agents.memory.memory import Embedder
from ...agents.payloads import PAYLOAD_FORM
from ...identity import digest, settings_of
from ...recsys.data import Dataset
from ..batch.progress import Silent, Watcher
from ..batch.runner import run_tasks
from ..batch.shards import run_sharded
from ..batch.summary import Summary
from ..batch.usage import open_meter, share_out, spent_by_shards
from .steps import AgentContext, make_agent, step_of
from .study import Study

CACHE = "replies.sqlite"


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
        if not self.totals[folder.name].tasks and isinstance(agent, ExplainsNoTasks):
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
                concurrency=tasks_at_once(self.study.llm),
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
        from .shard_worker import FACTORY

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
        around = surroundings(study, study.llm, replies, meter, texts, limits)
        chat = chat_of(study, study.llm, replies, meter, texts, limits)
        try:
            observer = watch if watch is not None else Silent()
            yield AgentRunner(study, chat, around, observer, meter, texts, retry_failed, retry_invalid, limit)
        finally:
            meter.save()


def surroundings(
    study: Study, llm: LLMConfig, replies: Replies, meter: Meter, texts: list[str], limits: Limits
) -> AgentContext:
    """What every agent of the study is given; texts of all items. The agent that needs likelihoods opens the model, by
    way of the same cache, account and limits as the chat's."""
    likelihood = partial(build_likelihood, llm, cache=replies, meter=meter, limits=limits)
    return AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts, likelihood)


def identity_of(study: Study, name: str, settings: Mapping[str, Any], data: Dataset) -> dict[str, Any]:
    """What a step's records depend on; `run` is the part that goes to the manifest by these names."""
    step = step_of(name)
    return {
        "fingerprint": data.fingerprint,
        "seed": study.seed,
        "payloads": PAYLOAD_FORM,
        "run": {
            "config": settings_of(step.settings.model_validate(dict(settings)), without=step.fold_only),
            "prompts": wordings_of(name, study.prompts),
            "llm": model_of(study),
            "embedder": settings_of(study.embedder),
        },
    }


def wordings_of(name: str, folder: Path | None) -> list[str]:
    """`prompt@digest` of every prompt that a step uses; `folder`: the user's own wordings."""
    return [f"{prompt}@{version}" for prompt, version in prompts.digests(*step_of(name).prompts, folder=folder).items()]


def model_of(study: Study) -> dict[str, Any]:
    """Which model answers and how it is asked: every setting of `llm` but those of transport."""
    return settings_of(study.llm)


def folder_of(study: Study, name: str, settings: Mapping[str, Any], data: Dataset, below: Path) -> Path:
    """Where a step's records lie: beside `below`, named by all that they rest on."""
    return below.with_name(f"{below.name}-{name.replace(':', '.')}-{digest(identity_of(study, name, settings, data))}")


def cache_of(study: Study, shard: int | None = None) -> Path:
    """The file of replies that a process uses."""
    if shard is None or study.run.cache == "shared":
        return study.out / CACHE
    return study.folder / "replies" / f"shard-{shard}.sqlite"


def gather_caches(study: Study) -> None:
    """Take the replies in files of single shards into the shared one; no worker may be writing them."""
    files = sorted((study.folder / "replies").glob("shard-*.sqlite"))
    if files:
        with Replies(study.out / CACHE) as replies:
            for path in files:
                replies.absorb(path)


def memory_of(study: Study, embed: Embedder, folder: Path, shard: int | None = None) -> ChromaMemory | ListMemory:
    """Where a step's agent remembers; see `MemoryConfig`."""
    memory = study.memory
    if memory.store == "process":
        return ListMemory(embed)
    if memory.url is not None:
        name = f"{study.name[:40]}-{digest(str(folder))}"
        return ChromaMemory(embed, url=memory.url, collection=name)
    return ChromaMemory(embed, path=folder / ("memory" if shard is None else f"memory-{shard}"))


def chat_of(
    study: Study, llm: LLMConfig, replies: Replies, meter: Meter, texts: Sequence[str], limits: Limits | None = None
) -> Chat:
    """The study's model by way of cache, account and limits, with spans where the study wants them."""
    chat = build_chat(llm, cache=replies, meter=meter, catalogue=texts, limits=limits)
    if not study.run.telemetry:
        return chat
    return traced(chat, tracer(), provider=llm.provider, model=llm.model or llm.provider)


def span_of(study: Study, agent: Agent) -> Span:
    """What stands around each task: a span, or nothing."""
    return task_spans(tracer(), agent.name) if study.run.telemetry else lambda _: nullcontext()


def tasks_at_once(llm: LLMConfig) -> int:
    """Twice as many tasks as calls: a task that thinks, or waits to ask again, must not leave a place empty."""
    return 2 * llm.concurrency


def tools_of(chat: Chat, memory: ChromaMemory | ListMemory) -> Callable[[Task], Tools]:
    """The same chat for every task, and the memory on disk; a memory in process is each task's own.

    A task may not recall what another has written, or its record would depend on their order; kept after the task, such
    memos would only fill the process: 80 MB over 100,000 tasks.
    """

    def tools_for(task: Task) -> Tools:
        return Tools(chat, memory.anew() if isinstance(memory, ListMemory) else memory)

    return tools_for


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
