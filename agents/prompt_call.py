"""Prompt calls of agents: what the nodes of a graph share, one call of a named prompt, and concurrent calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from .. import prompts
from .agent import Tools
from .chat.structured import ask_whole
from .chat.types import Facts, Reply, Sampling

C = TypeVar("C", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True)
class AgentSetup(Generic[C]):
    """What every node of one agent's graph shares. `config` holds the agent's settings."""

    config: C
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that replace shipped ones of the same name."""
    seed: int = 0


async def call_prompt(
    tools: Tools,
    setup: AgentSetup[Any],
    prompt: str,
    reply: type[R],
    kind: str,
    values: Mapping[str, Any],
    *,
    agent: str,
    facts: Mapping[str, Any] | None = None,
    draw: int = 0,
) -> R:
    """The parsed answer to the named prompt, rendered with `values`.

    kind, facts: the structured input for providers that answer without reading the text, such as `offline`; without
    `facts` it is `values`. draw: number of the sample, where one prompt is sampled several times.
    Raises ReplyInvalid after one failed repair turn, and whatever the model's client raises.
    """
    answer, _ = await call_prompt_raw(
        tools, setup, prompt, reply, kind, values, agent=agent, facts=facts, draw=draw, logprobs=False
    )
    return answer


async def call_prompt_raw(
    tools: Tools,
    setup: AgentSetup[Any],
    prompt: str,
    reply: type[R],
    kind: str,
    values: Mapping[str, Any],
    *,
    agent: str,
    facts: Mapping[str, Any] | None = None,
    draw: int = 0,
    logprobs: bool = False,
) -> tuple[R, Reply]:
    """The same, with the reply as it came: its tokens' log-probabilities stand there."""
    return await ask_whole(
        tools,
        prompts.load(prompt, setup.wording).render(**values),
        reply,
        facts=Facts(kind, dict(values if facts is None else facts)),
        sampling=setup.sampling,
        draw=draw,
        logprobs=logprobs,
        agent=agent,
    )


async def gather_all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of concurrent calls, in order.

    All calls end before the first error is raised: a record's counts must not depend on which call failed first.
    """
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
