"""`try`: a few tasks of each step, every request and reply in full, before anything more is paid.

Requests go through the study's cache, usage and budget, so that a later run finds the usable replies and pays for each
once. No record is written and nothing is trained.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from ...agents.agent import Agent, ExplainsNoTasks, Record, Task, Tools
from ...agents.chat.types import Chat, Reply, Request
from ...agents.memory.list_memory import ListMemory
from ...errors import ConfigError, LLMError, RecloopError, ReplyInvalid
from ...notebook import Facts
from ...recsys.data import Dataset
from ...recsys.data.sources import load_split
from ...redaction import redact
from ..batch.event_loop import run_async
from ..batch.summary import InvocationUsage
from ..batch.task import Halt, run_task
from ..studies.agent_runner import AgentRunner, open_runner
from ..studies.steps import make_agent
from ..studies.study import AnyStudy, Study, study_of

TASKS = 3


def try_study(
    study: AnyStudy,
    settings: Sequence[str] = (),
    *,
    tasks: int = TASKS,
    step: int | None = None,
    user: str | None = None,
) -> dict[str, Any]:
    """Run `tasks` tasks of each step and give every request with its messages, reply, parse result, tokens and cost.

    The tasks are sampled at random by the study's seed, the same ones that `estimate` samples. step: the place of one
    step, counted from 0; steps before it are run on as many tasks, because it reads what they make, and left out of the
    result. user: the data's own id; only tasks of this user.

    A later step reads the data as the sampled records of the earlier ones have changed it. `parse` of a reply is
    `{result: ok | repaired | invalid | failed, reason}`; `paid` counts this call alone, replies from the cache left
    out. A spent budget or a refused key ends it: `stopped` says why, what was answered before is there.
    Raises ConfigError for a study without steps, a step or user that it does not have, and fewer than 1 task.
    """
    study = study_of(study, settings)
    if tasks < 1:
        raise ConfigError(f"tasks is {tasks}; try at least 1")
    if not study.steps:
        raise ConfigError(f"study {study.name} has no steps: it asks nothing of a model")
    if step is not None and not 0 <= step < len(study.steps):
        names = ", ".join(f"{place} {name}" for place, entry in enumerate(study.steps) for name in entry)
        raise ConfigError(f"study {study.name} has no step {step}; there are: {names}")
    return run_async(_try(study, load_split(study.data).train, tasks, step, user))


async def _try(study: Study, train: Dataset, tasks: int, step: int | None, user: str | None) -> dict[str, Any]:
    total, steps, stopped, matches = InvocationUsage(), [], "", 0
    data, last = train, len(study.steps) - 1 if step is None else step
    async with open_runner(study, train) as opened:
        for place in range(last + 1):
            [(name, settings)] = study.steps[place].items()
            agent = make_agent(name, settings, opened.around)
            every = [task for task in agent.tasks(data) if user is None or _is_of(task, user)]
            matches += len(every)
            order = np.random.default_rng([study.seed, place]).permutation(len(every))[:tasks]
            results, stopped = await _run(agent, [every[at] for at in sorted(order)], opened, total)
            entry: dict[str, Any] = {"step": f"{place}-{name}", "tasks": [_as_dict(*result) for result in results]}
            entry["note"] = "" if every or not isinstance(agent, ExplainsNoTasks) else agent.no_tasks_reason(data)
            if not stopped and place < last:
                data, entry["note"] = _folded(agent, data, [record for record, _ in results], entry["note"])
            if step is None or place == step:
                steps.append(entry)
            if stopped:
                break
    if user is not None and not matches and not stopped:
        raise ConfigError(f"no task of user {user!r}: ids are the data's own, and some histories are too short")
    return Facts(
        {
            "study": study.name,
            "model": f"{study.llm.provider} {study.llm.model or ''}".strip(),
            "steps": steps,
            "paid": {"calls": total.calls - total.cached, "tokens": total.tokens, "usd": total.cost},
            "cached": total.cached,
            "stopped": stopped,
        }
    )


def _is_of(task: Task, user: str) -> bool:
    """Whether a task's key (`user:17`, `user:17/slate:3`, `calibrate:17`) is of this user."""
    return task.key.partition(":")[2] == user or task.key.startswith(f"user:{user}/")


async def _run(
    agent: Agent, tasks: Sequence[Task], opened: AgentRunner, total: InvocationUsage
) -> tuple[list[tuple[Record, list[dict[str, Any]]]], str]:
    """The record and the requests of every task that ended, and why the others did not."""
    graph = agent.graph()
    observed = [_ObservedChat(opened.chat) for _ in tasks]
    outcomes = await asyncio.gather(
        *(
            run_task(agent.name, task, graph, Tools(chat, ListMemory(opened.around.embed)), total)
            for task, chat in zip(tasks, observed, strict=True)
        ),
        return_exceptions=True,
    )
    results, stopped = [], ""
    for task, chat, outcome in zip(tasks, observed, outcomes, strict=True):
        if isinstance(outcome, Halt):
            stopped = stopped or str(outcome)
            outcome = Record(task.key, agent.name, "failed", "", f"stopped: {outcome}")
        if isinstance(outcome, BaseException):
            raise outcome
        results.append((outcome, chat.requests))
    return results, stopped


@dataclass
class _ObservedChat:
    """A Chat that keeps every request with its reply, in plain values."""

    chat: Chat
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, request: Request) -> Reply:
        entry: dict[str, Any] = {
            "prompt": request.prompt,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        }
        self.requests.append(entry)
        try:
            reply = await self.chat(request)
        except ReplyInvalid as error:
            entry |= _reply_facts(error.reply, "invalid", f"{error.kind}: {error}")
            raise
        except (LLMError, ConfigError) as error:
            entry |= _reply_facts(None, "failed", f"{type(error).__name__}: {error}")
            raise
        turns = f"{reply.repairs} reply of the wrong form before it" if reply.repairs else ""
        fence = "JSON taken out of the text around it" if reply.fenced else ""
        reasons = "; ".join(part for part in (turns, fence) if part)
        entry |= _reply_facts(reply, "repaired" if reply.repairs or reply.fenced else "ok", reasons)
        return reply


def _reply_facts(reply: Reply | None, result: str, reason: str) -> dict[str, Any]:
    parse = {"result": result, "reason": redact(reason)}
    if reply is None:
        return {"reply": None, "parse": parse}
    return {
        "reply": reply.text,
        "parse": parse,
        "calls": reply.turns,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "usd": reply.cost,
        "seconds": reply.seconds,
        "cached": reply.cached,
    }


def _as_dict(record: Record, requests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"task": record.key, "status": record.status, "error": record.error, "requests": requests}


def _folded(agent: Agent, data: Dataset, records: Sequence[Record], note: str) -> tuple[Dataset, str]:
    """The data as the sampled records change it, or as it is with the reason."""
    usable = [asdict(replace(record, cost=record.cost or 0.0)) for record in records if record.status == "ok"]
    if not usable:
        return data, note or "no usable record: later steps read the data as it is"
    try:
        return agent.fold(data, pd.DataFrame(usable, columns=[each.name for each in fields(Record)])), note
    except RecloopError as error:
        return data, f"too few records to fold ({error}): later steps read the data as it is"


def as_text(trial: dict[str, Any]) -> str:
    """Every request with its reply, for a terminal."""
    lines = [f"Study {trial['study']}, model {trial['model']}"]
    for step in trial["steps"]:
        lines += [
            "",
            f"STEP {step['step']}: {len(step['tasks'])} task(s)" + (f"; {step['note']}" if step["note"] else ""),
        ]
        for task in step["tasks"]:
            lines += ["", f"TASK {task['task']}: {task['status']}" + (f" ({task['error']})" if task["error"] else "")]
            for number, request in enumerate(task["requests"], 1):
                lines += ["", f"--- request {number}: {request['prompt']}"]
                lines += [f"[{message['role']}]\n{message['content'].rstrip()}" for message in request["messages"]]
                lines += [f"--- reply {number}", request.get("reply") or "(none)", _parse_line(request)]
    paid, usd = trial["paid"], trial["paid"]["usd"]
    cost = "cost unknown" if usd is None else f"{usd:.4f} USD"
    lines += [
        "",
        f"Paid: {paid['calls']} calls, {paid['tokens']} tokens, {cost}; {trial['cached']} calls from the cache.",
    ]
    lines += [f"stopped: {trial['stopped']}"] if trial["stopped"] else []
    return "\n".join(lines)


def _parse_line(request: dict[str, Any]) -> str:
    parse = request.get("parse", {"result": "cancelled", "reason": ""})
    words = f"--- parse: {parse['result']}" + (f" ({parse['reason']})" if parse["reason"] else "")
    if "calls" not in request:
        return words
    usd = "cost unknown" if request["usd"] is None else f"{request['usd']:.4f} USD"
    tokens = f"{request['prompt_tokens']} + {request['completion_tokens']} tokens"
    return f"{words}; {tokens}, {usd}{', from the cache' if request['cached'] else ''}"
