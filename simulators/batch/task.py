"""One task, from its state to its Record: the graph is run, and every way it can end gets a status."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from ...agents.agent import Record, Status, Tally, Task, Tools
from ...agents.chat.types import Chat, Reply, Request
from ...errors import BudgetExceeded, ConfigError, LLMError, ModelUnavailable, ReplyInvalid
from ...redaction import redact
from .summary import InvocationUsage

log = logging.getLogger(__name__)

Graph = CompiledStateGraph[Any, Tools, Any, Any]


class Halt(Exception):
    """No task can be done from here on: the budget is spent, or the server refuses every call."""


async def run_task(agent: str, task: Task, graph: Graph, tools: Tools, invocation: InvocationUsage) -> Record:
    """Run the graph on one task, with a fresh tally.

    An unusable reply makes an `invalid` record, a model that cannot be had a `failed` one. Raises Halt where the run
    has to stop; what else the graph raises is a bug and is raised on.
    """
    tally, began = Tally(), time.monotonic()
    status: Status = "ok"
    payload = error = ""
    try:
        final = await graph.ainvoke(
            dict(task.state), context=replace(tools, chat=_Counted(tools.chat, invocation), tally=tally)
        )
        payload = _json(final)
    except ReplyInvalid as invalid:
        status, error = "invalid", f"{invalid.kind}: {invalid}"
    except BudgetExceeded as spent:
        raise Halt(f"the budget is spent ({spent})") from spent
    except ConfigError as refused:
        # A refused key, an unknown model or a setting that the step cannot work with: no task would fare better.
        raise Halt(str(refused)) from refused
    except LLMError as failed:
        if isinstance(failed, ModelUnavailable) and failed.hopeless:
            raise Halt(f"every further call would fail ({failed})") from failed
        status, error = "failed", f"{type(failed).__name__}: {failed}"
    if status != "ok":
        log.info("task without a result", extra={"task": task.key, "status": status, "reason": redact(error)[:300]})
    return Record(
        key=task.key,
        agent=agent,
        status=status,
        payload=payload,
        error=_storable(error),
        model=tally.model,
        prompts=tuple(sorted(tally.prompts)),
        calls=tally.calls,
        repairs=tally.repairs,
        unmatched=tally.unmatched,
        fenced=tally.fenced,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cost=tally.cost,
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True, slots=True)
class _Counted:
    """A Chat that counts the replies of this invocation."""

    chat: Chat
    invocation: InvocationUsage

    async def __call__(self, request: Request) -> Reply:
        try:
            reply = await self.chat(request)
        except ReplyInvalid as invalid:
            if invalid.reply is not None:
                self.invocation.count(invalid.reply)
            raise
        self.invocation.count(reply)
        return reply


def _json(final: Mapping[str, Any]) -> str:
    """The payload with sorted keys: equal payloads are equal text. Raises ValueError where the graph made none."""
    if "payload" not in final:
        raise ValueError("the graph ended without a `payload` in its state")
    # ASCII, because a model's reply may hold half a surrogate pair, which Parquet's UTF-8 cannot.
    return json.dumps(final["payload"], sort_keys=True, separators=(",", ":"), allow_nan=False)


def _storable(error: str) -> str:
    """A reason fit for a file: no keys, no half surrogate pairs, at most 2,000 characters."""
    return redact(error)[:2_000].encode("utf-8", "replace").decode("utf-8")
