"""The discriminator as a state machine: every set is put to the model, what it says becomes a confidence, and a record.

    judge -> record

A task is a user's rows in sets; the sets of a task are judged side by side. Whether a row is real, generated or sampled
stands in the task and in the record, and nowhere in what the model reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ... import prompts
from ...errors import ModelUnavailable
from ..agent import Tools
from ..asking import side_by_side
from ..chat.handles import handles_for, judgement_reply
from ..chat.structured import ask_whole
from ..chat.types import Facts, Sampling
from .confidence import by_tokens, share, stated
from .config import Confidence, Discriminate

NAME = "discriminate"
PROMPTS = ("discriminate/judge",)

Role = Literal["real", "generated", "negative"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node of one machine shares."""

    config: Discriminate = Discriminate()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""


# --- state ------------------------------------------------------------------------------------------------------------


class Row(TypedDict):
    """One (user, item) to be judged. `weight` is what a real row counted before."""

    item: int
    role: Role
    weight: float


class Sitting(TypedDict):
    """A set of rows, and the history they are judged by, which holds none of them."""

    history: list[int]
    rows: list[Row]


class State(TypedDict, total=False):
    user: int | str
    """The data's own id."""
    purpose: Literal["judge", "calibrate"]
    sittings: list[Sitting]
    facts: dict[int, str]
    said: list[tuple[Confidence, list[float]]]
    """For each set where its confidence comes from, and the confidence of each row."""
    payload: dict[str, Any]


# --- nodes ------------------------------------------------------------------------------------------------------------


async def judge(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """A confidence in [0, 1] for each row of each set."""
    sittings = [_asked_of(setup, state, sitting, runtime.context) for sitting in state["sittings"]]
    return {"said": await side_by_side(sittings)}


async def record(state: State) -> State:
    """What the record keeps: rows with role and confidence, users by the data's own ids."""
    rows = [
        {**row, "confidence": round(sure, 6), "by": way} if row["role"] == "real" else
        {"item": row["item"], "role": row["role"], "confidence": round(sure, 6), "by": way}
        for sitting, (way, confidences) in zip(state["sittings"], state["said"], strict=True)
        for row, sure in zip(sitting["rows"], confidences, strict=True)
    ]  # fmt: skip
    return {"payload": {"user": state["user"], "purpose": state["purpose"], "rows": rows}}


# --- one set ----------------------------------------------------------------------------------------------------------


async def _asked_of(setup: Setup, state: State, sitting: Sitting, tools: Tools) -> tuple[Confidence, list[float]]:
    wanted = setup.config.confidence
    if wanted == "votes":
        draws = [_answers(setup, state, sitting, tools, draw) for draw in range(setup.config.votes)]
        return "votes", share([answers for _, answers, _ in await side_by_side(draws)])
    if wanted == "logprobs":
        try:
            way, _, sure = await _answers(setup, state, sitting, tools, logprobs=True)
        except ModelUnavailable as refused:
            # Some servers refuse the very question for log-probabilities, and answer it without.
            if refused.status not in (400, 422) or "logprob" not in str(refused):
                raise
        else:
            return way, sure
    way, _, sure = await _answers(setup, state, sitting, tools)
    return way, sure


async def _answers(
    setup: Setup, state: State, sitting: Sitting, tools: Tools, draw: int = 0, *, logprobs: bool = False
) -> tuple[Confidence, list[str], list[float]]:
    """Where the confidence is from, the answers, and the confidences, in the order of the rows."""
    names = handles_for(len(sitting["rows"]))
    history = [state["facts"][item] for item in sitting["history"]]
    options = {h: state["facts"][row["item"]] for h, row in zip(names, sitting["rows"], strict=True)}
    reply: Any
    reply, whole = await ask_whole(
        tools,
        prompts.load("discriminate/judge", setup.wording).render(history=history, options=options),
        judgement_reply(names),
        facts=Facts("judge", {"history": history, "options": options}),
        sampling=setup.sampling,
        draw=draw,
        logprobs=logprobs,
        agent=NAME,
    )
    said = {entry.item: (entry.answer, stated(entry.answer, entry.confidence)) for entry in reply.judgements}
    tokens = by_tokens(whole, [entry.answer for entry in reply.judgements]) if logprobs else None
    if tokens is not None:
        told = dict(zip((entry.item for entry in reply.judgements), tokens, strict=True))
        said = {h: (answer, told[h]) for h, (answer, _) in said.items()}
    return "graded" if tokens is None else "logprobs", [said[h][0] for h in names], [said[h][1] for h in names]


def machine(setup: Setup) -> CompiledStateGraph[State, Tools, State, State]:
    """The compiled graph; a user's sets are one invocation."""
    graph = StateGraph(State, context_schema=Tools)
    graph.add_node("judge", partial(judge, setup))
    graph.add_node("record", record)
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "record")
    graph.add_edge("record", END)
    return graph.compile()
