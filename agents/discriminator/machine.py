"""The discriminator's graph: judge every set of rows, turn the answers into confidences, record.

    judge -> record

A task is a user's rows in sets; the sets of a task are judged concurrently. Whether a row is real, generated or sampled
stands in the task and in the record, and nowhere in what the model reads.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ...errors import ModelUnavailable
from ..agent import Tools
from ..chat.handles import handles_for, judgement_reply
from ..prompt_call import AgentSetup, call_prompt_raw, gather_all
from .confidence import by_tokens, share, stated
from .config import Confidence, Discriminate

NAME = "discriminate"
PROMPTS = ("discriminate/judge",)

Role = Literal["real", "generated", "negative"]

DiscriminatorSetup = AgentSetup[Discriminate]


# --- state ------------------------------------------------------------------------------------------------------------


class RowToJudge(TypedDict):
    """One (user, item) to be judged. `weight`: of a real row, before the edit."""

    item: int
    role: Role
    weight: float


class RowSet(TypedDict):
    """A set of rows, and the history they are judged by, which holds none of them."""

    history: list[int]
    rows: list[RowToJudge]


class DiscriminatorState(TypedDict, total=False):
    user: int | str
    """The data's own id."""
    catalogue: str
    """Digest of the item ids that the codes stand for."""
    purpose: Literal["judge", "calibrate"]
    sets: list[RowSet]
    facts: dict[int, str]
    answers: list[tuple[Confidence, list[float]]]
    """For each set the source of its confidences, and the confidence of each row."""
    payload: dict[str, Any]


# --- nodes ------------------------------------------------------------------------------------------------------------


async def judge(setup: DiscriminatorSetup, state: DiscriminatorState, runtime: Runtime[Tools]) -> DiscriminatorState:
    """A confidence in [0, 1] for each row of each set."""
    calls = [_set_confidences(setup, state, row_set, runtime.context) for row_set in state["sets"]]
    return {"answers": await gather_all(calls)}


async def record(state: DiscriminatorState) -> DiscriminatorState:
    """The payload: rows with role and confidence; the user by the data's own id."""
    rows = [
        {**row, "confidence": round(sure, 6), "by": way} if row["role"] == "real" else
        {"item": row["item"], "role": row["role"], "confidence": round(sure, 6), "by": way}
        for row_set, (way, confidences) in zip(state["sets"], state["answers"], strict=True)
        for row, sure in zip(row_set["rows"], confidences, strict=True)
    ]  # fmt: skip
    return {
        "payload": {"user": state["user"], "catalogue": state["catalogue"], "purpose": state["purpose"], "rows": rows}
    }


# --- one set ----------------------------------------------------------------------------------------------------------


async def _set_confidences(
    setup: DiscriminatorSetup, state: DiscriminatorState, row_set: RowSet, tools: Tools
) -> tuple[Confidence, list[float]]:
    wanted = setup.config.confidence
    if wanted == "votes":
        draws = [_answers(setup, state, row_set, tools, draw) for draw in range(setup.config.votes)]
        return "votes", share([answers for _, answers, _ in await gather_all(draws)])
    if wanted == "logprobs":
        try:
            way, _, sure = await _answers(setup, state, row_set, tools, logprobs=True)
        except ModelUnavailable as refused:
            # Some servers refuse a request for log-probabilities and answer the same request without.
            if refused.status not in (400, 422) or "logprob" not in str(refused):
                raise
        else:
            return way, sure
    way, _, sure = await _answers(setup, state, row_set, tools)
    return way, sure


async def _answers(
    setup: DiscriminatorSetup,
    state: DiscriminatorState,
    row_set: RowSet,
    tools: Tools,
    draw: int = 0,
    *,
    logprobs: bool = False,
) -> tuple[Confidence, list[str], list[float]]:
    """The source of the confidences, the answers, and the confidences, in the order of the rows."""
    names = handles_for(len(row_set["rows"]))
    history = [state["facts"][item] for item in row_set["history"]]
    options = {h: state["facts"][row["item"]] for h, row in zip(names, row_set["rows"], strict=True)}
    reply: Any
    reply, raw = await call_prompt_raw(
        tools,
        setup,
        "discriminate/judge",
        judgement_reply(names),
        "judge",
        {"history": history, "options": options},
        agent=NAME,
        draw=draw,
        logprobs=logprobs,
    )
    answers = {entry.item: (entry.answer, stated(entry.answer, entry.confidence)) for entry in reply.judgements}
    tokens = by_tokens(raw, [entry.answer for entry in reply.judgements]) if logprobs else None
    if tokens is not None:
        by_token = dict(zip((entry.item for entry in reply.judgements), tokens, strict=True))
        answers = {h: (answer, by_token[h]) for h, (answer, _) in answers.items()}
    return "graded" if tokens is None else "logprobs", [answers[h][0] for h in names], [answers[h][1] for h in names]


def machine(
    setup: DiscriminatorSetup,
) -> CompiledStateGraph[DiscriminatorState, Tools, DiscriminatorState, DiscriminatorState]:
    """The compiled graph; a user's sets are one invocation."""
    graph = StateGraph(DiscriminatorState, context_schema=Tools)
    graph.add_node("judge", partial(judge, setup))
    graph.add_node("record", record)
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "record")
    graph.add_edge("record", END)
    return graph.compile()
