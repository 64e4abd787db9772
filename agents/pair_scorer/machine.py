"""The pair scorer as a state machine: score the lists in one order, and in others until the draws agree.

    score -> validate -> record
      ^          |
      +----------+  too few draws, or draws that rank the items differently

A reply of the wrong form (a handle left out, a score outside [0, 1], one score for all) gets the usual repair turn and
then makes the record invalid.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from scipy.stats import kendalltau

from ... import prompts
from ..agent import Tools
from ..asking import side_by_side
from ..chat.handles import handles_for
from ..chat.structured import ask
from ..chat.types import Facts, Sampling
from .config import ScorePairs
from .replies import scores_reply

NAME = "score_pairs"
PROMPTS = ("score_pairs/score",)


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node of one machine shares."""

    config: ScorePairs = ScorePairs()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    """Of the orders in which lists are shown."""


class State(TypedDict, total=False):
    user: int
    history: list[int]
    """Last items, oldest first."""
    lists: list[list[int]]
    """Candidates, a call a list."""
    facts: dict[int, str]
    draws: list[dict[int, float]]
    """Item -> score, one mapping a draw."""
    agreement: float
    """Mean Kendall tau of the draws; NaN of one draw."""
    payload: dict[str, Any]


async def score(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """One more draw: every list once, each in an order of its own."""
    draw = len(state.get("draws", []))
    history = [state["facts"][item] for item in state["history"]]

    async def one(number: int, items: Sequence[int]) -> dict[int, float]:
        rng = np.random.default_rng([setup.seed, state["user"], number, draw])
        order = [int(item) for item in rng.permutation(items)]
        names = handles_for(len(order))
        options = {handle: state["facts"][item] for handle, item in zip(names, order, strict=True)}
        reply: Any = await ask(
            runtime.context,
            prompts.load("score_pairs/score", setup.wording).render(history=history, options=options),
            scores_reply(names),
            facts=Facts("rank", {"query": "\n".join(history), "notes": [], "options": options}),
            sampling=setup.sampling,
            draw=draw,
            agent=NAME,
        )
        shown = dict(zip(names, order, strict=True))
        return {shown[entry.item]: entry.score for entry in reply.ranking}

    scored: dict[int, float] = {}
    for found in await side_by_side(itertools.starmap(one, enumerate(state["lists"]))):
        scored |= found
    return {"draws": [*state.get("draws", []), scored]}


def validate(state: State) -> State:
    """How well the draws agree: Kendall's tau over each list, averaged over lists and pairs of draws."""
    return {"agreement": agreement(state["draws"], state["lists"])}


def record(state: State) -> State:
    """Mean and standard deviation of each item's draws, items by code."""
    items = sorted(state["draws"][0])
    table = np.array([[draw[item] for item in items] for draw in state["draws"]])
    several = len(table) > 1
    return {
        "payload": {
            "user": state["user"],
            "items": items,
            "scores": [round(float(mean), 6) for mean in table.mean(0)],
            "spread": [round(float(s), 6) for s in table.std(0)] if several else None,
            "draws": len(table),
            "agreement": round(state["agreement"], 6) if not np.isnan(state["agreement"]) else None,
        }
    }


def next_step(setup: Setup, state: State) -> str:
    """Another draw while there are too few, or while they disagree and more are allowed."""
    done, config = len(state["draws"]), setup.config
    if done < config.draws:
        return "score"
    return "score" if state["agreement"] < config.stable and done < config.most_draws else "record"


def agreement(draws: Sequence[Mapping[int, float]], lists: Sequence[Sequence[int]]) -> float:
    """Mean Kendall tau-b of the draws' rankings, in [-1, 1]; NaN of one draw."""
    found = [
        float(kendalltau([one[item] for item in items], [other[item] for item in items]).statistic)
        for one, other in itertools.combinations(draws, 2)
        for items in lists
        if len(items) > 1
    ]
    return float(np.mean(found)) if found else float("nan")


def machine(setup: Setup) -> CompiledStateGraph[State, Tools, State, State]:
    """The compiled graph; a user is one invocation."""
    graph = StateGraph(State, context_schema=Tools)
    graph.add_node("score", partial(score, setup))
    graph.add_node("validate", validate)
    graph.add_node("record", record)
    graph.add_edge(START, "score")
    graph.add_edge("score", "validate")
    graph.add_conditional_edges("validate", partial(next_step, setup), ["score", "record"])
    graph.add_edge("record", END)
    # LangGraph stops a graph after 25 node rounds unless told otherwise; this one's length is known.
    return graph.compile().with_config(recursion_limit=4 + 2 * setup.config.most_draws)
