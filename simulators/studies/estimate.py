"""`estimate`: what a study will ask of its model, from a few of its tasks: calls, tokens, dollars, time.

The sampled tasks are really asked, through the study's cache and account, so that the run finds their replies and the
budget knows their cost. `dry` asks nobody: `offline` walks the tasks, which shows their shape, and tokens are counted
by the length of the texts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd

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
from ..batch.records import finished_keys, read_records
from ..batch.summary import InvocationUsage
from ..batch.task import Halt, run_task
from .agent_runner import open_runner
from .step_identity import folder_of
from .steps import AGENTS, AgentContext, make_agent
from .study import AnyStudy, Study, study_of

SAMPLE = 5
MOST_WALKED = 20_000
"""Tasks of an earlier step that `offline` answers at most, a minute or so of computing."""
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
    not known; `seconds` is null where nothing was asked.

    A later step is sampled on the data as the earlier ones change it with the replies of the provider `offline`, which
    cost nothing: its number of tasks is the true one as far as the model adds and drops rows for as many users. Where
    that cannot be computed (a step of one's own, likelihoods, more than `MOST_WALKED` tasks), it is sampled on the data
    as they are now, and its figures are a lower bound (`lower_bound` true) where earlier steps add rows.

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
    texts = list(item_texts(train).values())
    around = AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts)
    inputs = await _inputs(study, train, around, offline_chat(texts))
    if dry:
        offline = _Timed(offline_chat(texts), counting=True)
        return [await _step(study, place, one, around, offline, tasks, price) for place, one in enumerate(inputs)]
    async with open_runner(study, train) as opened:
        return [
            await _step(study, place, one, opened.around, _Timed(opened.chat), tasks, price)
            for place, one in enumerate(inputs)
        ]


@dataclass(frozen=True)
class _StepInput:
    """What a step reads, and by what the earlier steps have changed it.

    records: by their own records, all of which exist; offline: one at least by replies of `offline`; unchanged: the
    changes of one at least are not in it.
    """

    data: Dataset
    changes: Literal["records", "offline", "unchanged"] = "records"


async def _inputs(study: Study, train: Dataset, around: AgentContext, offline: Chat) -> list[_StepInput]:
    """The data that each step reads: as finished steps have changed them, and `offline` would by the others."""
    inputs = [_StepInput(train)]
    for place, step in enumerate(study.steps[:-1]):
        [(name, settings)] = step.items()
        given = inputs[-1]
        folder = folder_of(study, name, settings, given.data, study.folder / "agents" / str(place))
        if given.changes == "records" and (keys := finished_keys(folder)):
            agent = make_agent(name, settings, around)
            if all(task.key in keys for task in agent.tasks(given.data)):
                inputs.append(_StepInput(agent.fold(given.data, read_records(folder))))
                continue
        folded = None
        if given.changes != "unchanged":
            folded = await _folded(name, settings, given.data, around, offline)
        inputs.append(_StepInput(given.data, "unchanged") if folded is None else _StepInput(folded, "offline"))
    return inputs


async def _folded(
    name: str, settings: Mapping[str, Any], data: Dataset, around: AgentContext, offline: Chat
) -> Dataset | None:
    """`data` with a step's changes by the replies of `offline`; None where they cannot be computed."""
    if name not in AGENTS or settings.get("mode") == "likelihood":
        return None
    agent = make_agent(name, settings, around)
    every = list(islice(agent.tasks(data), MOST_WALKED + 1))
    if len(every) > MOST_WALKED:
        return None
    memory, graph = ListMemory(around.embed), agent.graph()
    try:
        records = [
            await run_task(agent.name, task, graph, Tools(offline, memory.anew()), InvocationUsage()) for task in every
        ]
    except Halt:
        return None
    frame = pd.DataFrame([asdict(record) for record in records], columns=[one.name for one in fields(Record)])
    return agent.fold(data, frame) if (frame["status"] == "ok").any() else data


async def _step(
    study: Study, place: int, given: _StepInput, around: AgentContext, timed: _Timed, tasks: int, price: Price | None
) -> dict[str, Any]:
    train = given.data
    [(name, settings)] = study.steps[place].items()
    agent = make_agent(name, settings, around)
    finished = finished_keys(folder_of(study, name, settings, train, study.folder / "agents" / str(place)))
    every = list(agent.tasks(train))
    chosen = np.random.default_rng([study.seed, place]).permutation(len(every))[:tasks]
    sampled = await _records(agent, [every[at] for at in sorted(chosen)], timed, ListMemory(around.embed))
    left = len(every) - sum(task.key in finished for task in every)
    unusable = [record for record in sampled if record.status != "ok"]
    if sampled and len(unusable) == len(sampled):
        raise RunError(
            f"no estimate: none of {len(sampled)} sampled tasks of step {place}-{name} has a usable reply; "
            f"the first: {unusable[0].error[:300]}"
        )
    figures = [_figures(record, price) for record in sampled]
    figures_left: dict[str, Any] = {name: _interval([each[name] for each in figures], left) for name in SUMMED}
    figures_left["seconds"] = None if timed.counting else _seconds(figures_left["calls"], timed, study.llm)
    return {
        "step": f"{place}-{name}",
        "tasks": len(every),
        "finished": len(every) - left,
        "sampled": len(sampled),
        "not_ok": len(unusable),
        "failed": sum(record.status == "failed" for record in sampled),
        "lower_bound": given.changes == "unchanged",
        "extrapolated": given.changes == "offline",
        "left": figures_left,
    }


async def _records(agent: Agent, tasks: Sequence[Task], chat: Chat, memory: ListMemory) -> list[Record]:
    graph = agent.graph()
    try:
        return await asyncio.gather(
            *(run_task(agent.name, task, graph, Tools(chat, memory), InvocationUsage()) for task in tasks)
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
            prompt_tokens = prompt_token_bound(request) // BYTES_A_TOKEN
            reply = replace(reply, usage=Usage(prompt_tokens, len(reply.text.encode()) // BYTES_A_TOKEN), cost=None)
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
