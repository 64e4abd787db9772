"""What a step's agent works with: chat, embedder, memory, cache of replies, spans; the same in every worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from ...agents.agent import Agent, Task, Tools
from ...agents.chat.build import build_chat, build_likelihood
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
from ...identity import digest
from .steps import AgentContext
from .study import Study

CACHE = "replies.sqlite"


def agent_context(
    study: Study, llm: LLMConfig, replies: Replies, meter: Meter, texts: list[str], limits: Limits
) -> AgentContext:
    """What every agent of the study is given; texts of all items. The agent that needs likelihoods opens the model, by
    way of the same cache, account and limits as the chat's."""
    likelihood = partial(build_likelihood, llm, cache=replies, meter=meter, limits=limits)
    return AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts, likelihood)


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


def max_tasks(llm: LLMConfig) -> int:
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
