"""`estimate`: what a study will ask of its model, from a few of its tasks: calls, tokens, dollars, time.

The sampled tasks are really asked, through the study's cache and account, so that the run finds their replies and the
budget knows their cost. `dry` asks nobody: `offline` walks the tasks, which shows their shape, and tokens are counted
by the length of the texts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...agents.agent import Agent, Record, Task, Tools
from ...agents.catalogue import item_texts
from ...agents.chat.config import LLMConfig
from ...agents.chat.offline import offline_chat
from ...agents.chat.prices import Price, price_of, read_prices
from ...agents.chat.token_bounds import prompt_token_bound
from ...agents.chat.types import Chat, Reply, Request, Usage
from ...agents.memory.embeddings import embedder
from ...agents.memory.list_memory import ListMemory
from ...errors import ConfigError, RunError
from ...notebook import Facts
from ...recsys.data import Dataset
from ...recsys.data.sources import load_split
from ..batch.event_loop import run_async
from ..batch.records import finished_keys
from ..batch.summary import Asked
from ..batch.task import Halt, run_task
from .agent_runner import open_runner
from .step_identity import folder_of
from .steps import AgentContext, make_agent
from .study import AnyStudy, Study, study_of

SAMPLE = 5
BYTES_A_TOKEN = 4
"""Of English text; what `dry` counts by."""
CALLS_A_SECOND = 300
"""What one process keeps under way at most (benchmarks/engine.md); more needs `run: {backend: processes}`."""
SUMMED = ("calls", "prompt_tokens", "completion_tokens", "usd")


def estimate(
    study: AnyStudy, settings: Sequence[str] = (), *, tasks: int = SAMPLE, dry: bool = False
) -> dict[str, Any]:
    """What the tasks that have no record yet will come to, step by step and in all.

    `tasks` of each step are drawn at random by the study's seed. A figure is `{mean, low, high}`: 95 % by Student's t
    over the sampled tasks. `usd` is null where nothing is charged (`offline`, `replay`) and where the model's price is
    not known; `seconds` is null where nothing was asked. A later step is sampled on the data as it is before the
    earlier ones have changed it: its figures are a lower bound (`lower_bound` true) where these add rows.
    Raises ConfigError where `budget.usd` is set and the price is not known, and RunError where the budget is spent, the
    server refuses every call, or no sampled task of a step has a usable reply.
    """
    study = study_of(study, settings)
    if tasks < 2:
        raise ConfigError(f"{tasks} task(s) give no interval: estimate from 2 or more")
    price = _price(study.llm)
    train = load_split(study.data).train
    steps = run_async(_steps(study, train, tasks, dry, price))
    return Facts(
        {
            "study": study.name,
            "model": f"{study.llm.provider} {study.llm.model or ''}".strip(),
            "dry": dry,
            "steps": steps,
            "total": {name: _added([step["left"][name] for step in steps]) for name in (*SUMMED, "seconds")},
            "budget": study.llm.budget.model_dump(exclude_none=True),
        }
    )


async def _steps(study: Study, train: Dataset, tasks: int, dry: bool, price: Price | None) -> list[dict[str, Any]]:
    if not study.steps:
        raise ConfigError(f"study {study.name} has no steps: it asks nothing of a model")
    places = range(len(study.steps))
    if dry:
        texts = list(item_texts(train).values())
        around = AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts)
        offline = _Timed(offline_chat(texts), counting=True)
        return [await _step(study, place, train, around, offline, tasks, price) for place in places]
    async with open_runner(study, train) as opened:
        timed = [_Timed(opened.chat) for _ in places]
        return [await _step(study, place, train, opened.around, timed[place], tasks, price) for place in places]


async def _step(
    study: Study, place: int, train: Dataset, around: AgentContext, timed: _Timed, tasks: int, price: Price | None
) -> dict[str, Any]:
    [(name, settings)] = study.steps[place].items()
    agent = make_agent(name, settings, around)
    finished = finished_keys(folder_of(study, name, settings, train, study.folder / "agents" / str(place)))
    every = list(agent.tasks(train))
    chosen = np.random.default_rng([study.seed, place]).permutation(len(every))[:tasks]
    sampled = await _asked(agent, [every[at] for at in sorted(chosen)], timed, ListMemory(around.embed))
    left = len(every) - sum(task.key in finished for task in every)
    unusable = [record for record in sampled if record.status != "ok"]
    if sampled and len(unusable) == len(sampled):
        raise RunError(
            f"no estimate: none of {len(sampled)} sampled tasks of step {place}-{name} has a usable reply; "
            f"the first: {unusable[0].error[:300]}"
        )
    figures = [_figures(record, price) for record in sampled]
    told: dict[str, Any] = {name: _interval([each[name] for each in figures], left) for name in SUMMED}
    told["seconds"] = None if timed.counting else _seconds(told["calls"], timed, study.llm)
    return {
        "step": f"{place}-{name}",
        "tasks": len(every),
        "finished": len(every) - left,
        "sampled": len(sampled),
        "not_ok": len(unusable),
        "failed": sum(record.status == "failed" for record in sampled),
        "lower_bound": place > 0,
        "left": told,
    }


async def _asked(agent: Agent, tasks: Sequence[Task], chat: Chat, memory: ListMemory) -> list[Record]:
    graph = agent.graph()
    try:
        return await asyncio.gather(
            *(run_task(agent.name, task, graph, Tools(chat, memory), Asked()) for task in tasks)
        )
    except Halt as halt:
        raise RunError(f"no estimate: {halt}") from halt


@dataclass
class _Timed:
    """A Chat that notes how long replies took when they were made; `counting` counts tokens by the texts' length."""

    chat: Chat
    counting: bool = False
    seconds: list[float] = field(default_factory=list)

    async def __call__(self, request: Request) -> Reply:
        reply = await self.chat(request)
        self.seconds.append(reply.seconds / reply.turns)
        if self.counting:
            # The bound that budgets are reserved by takes two bytes a token.
            asked = prompt_token_bound(request) // BYTES_A_TOKEN
            reply = replace(reply, usage=Usage(asked, len(reply.text.encode()) // BYTES_A_TOKEN), cost=None)
        return reply


def _price(llm: LLMConfig) -> Price | None:
    if llm.provider not in ("openai", "litellm"):
        return None
    price = price_of(llm.model or "", read_prices(llm.prices) if llm.prices else {})
    if price is None and llm.budget.usd is not None:
        where = f"the file {llm.prices}" if llm.prices else "a file that you name in llm.prices"
        raise ConfigError(
            f"no price of model {llm.model!r} is known, and none is guessed: add to {where} "
            f"`{llm.model}: {{prompt: ..., completion: ...}}` (dollars a million tokens; 0 for your own server), "
            "or leave budget.usd out"
        )
    return price


def _figures(record: Record, price: Price | None) -> dict[str, float | None]:
    tokens = Usage(record.prompt_tokens, record.completion_tokens)
    return {
        "calls": record.calls,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "usd": price.of(tokens) if price is not None else None,
    }


def _interval(values: Sequence[float | None], tasks: int) -> dict[str, float] | None:
    """The sum over `tasks` tasks of which `values` are a sample."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    from scipy.stats import t  # half a second that no other verb need pay

    mean, n = float(np.mean(known)), len(known)
    half = float(t.ppf(0.975, n - 1)) * float(np.std(known, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    low, high = max(0.0, mean - half), mean + half
    return {"mean": mean * tasks, "low": low * tasks, "high": high * tasks}


def _seconds(calls: Mapping[str, float] | None, timed: _Timed, llm: LLMConfig) -> dict[str, float] | None:
    """Calls over the pace that latency, concurrency, `rpm` and one process allow."""
    if calls is None or not any(timed.seconds):
        return None
    pace = min(llm.concurrency / float(np.mean(timed.seconds)), CALLS_A_SECOND, (llm.rpm or math.inf) / 60)
    return {name: count / pace for name, count in calls.items()}


def _added(parts: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    known = [part for part in parts if part is not None]
    return {name: sum(part[name] for part in known) for name in ("mean", "low", "high")} if known else None
