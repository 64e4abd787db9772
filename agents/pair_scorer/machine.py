"""The pair scorer as a state machine: score the lists in one order, and in others until the draws agree.

    score -> validate -> record
      ^          |
      +----------+  too few draws, or draws that rank the items differently

A malformed reply (a missing handle, a score outside [0, 1], equal scores only) gets one repair turn; if that fails, the
record is invalid.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from scipy.stats import kendalltau

from ..agent import Tools
from ..chat.handles import handles_for
from ..prompt_call import AgentSetup, call_prompt, gather_all
from .config import ScorePairs
from .replies import scores_reply

NAME = "score_pairs"
PROMPTS = ("score_pairs/score",)

PairScorerSetup = AgentSetup[ScorePairs]
"""`seed` determines the order of items in prompts."""


class PairScorerState(TypedDict, total=False):
    user: int
    """User code, which also seeds the random streams."""
    user_id: int | str
    catalogue: str
    """Digest of the item ids that the codes stand for."""
    history: list[int]
    """Last items, oldest first."""
    lists: list[list[int]]
    """Candidates, one list per call."""
    facts: dict[int, str]
    draws: list[dict[int, float]]
    """Item -> score, one mapping per draw."""
    agreement: float
    """Mean Kendall tau of the draws; NaN of one draw."""
    payload: dict[str, Any]


async def score(setup: PairScorerSetup, state: PairScorerState, runtime: Runtime[Tools]) -> PairScorerState:
    """One more draw: scores every list once, each in a new random order."""
    draw = len(state.get("draws", []))
    history = [state["facts"][item] for item in state["history"]]

    async def one(number: int, items: Sequence[int]) -> dict[int, float]:
        rng = np.random.default_rng([setup.seed, state["user"], number, draw])
        order = [int(item) for item in rng.permutation(items)]
        names = handles_for(len(order))
        options = {handle: state["facts"][item] for handle, item in zip(names, order, strict=True)}
        reply: Any = await call_prompt(
            runtime.context,
            setup,
            "score_pairs/score",
            scores_reply(names),
            "rank",
            {"history": history, "options": options},
            facts={"query": "\n".join(history), "notes": [], "options": options},
            draw=draw,
            agent=NAME,
        )
        items_by_handle = dict(zip(names, order, strict=True))
        return {items_by_handle[entry.item]: entry.score for entry in reply.ranking}

    scored: dict[int, float] = {}
    for scores in await gather_all(itertools.starmap(one, enumerate(state["lists"]))):
        scored |= scores
    return {"draws": [*state.get("draws", []), scored]}


def validate(state: PairScorerState) -> PairScorerState:
    """Computes the agreement of draws: Kendall's tau over each list, averaged over lists and pairs of draws."""
    return {"agreement": agreement(state["draws"], state["lists"])}


def record(state: PairScorerState) -> PairScorerState:
    """The payload: mean and standard deviation of each item's draws, items by code."""
    items = sorted(state["draws"][0])
    table = np.array([[draw[item] for item in items] for draw in state["draws"]])
    several = len(table) > 1
    return {
        "payload": {
            "user": state["user"],
            "user_id": state["user_id"],
            "catalogue": state["catalogue"],
            "items": items,
            "scores": [round(float(mean), 6) for mean in table.mean(0)],
            "spread": [round(float(s), 6) for s in table.std(0)] if several else None,
            "draws": len(table),
            "agreement": round(state["agreement"], 6) if not np.isnan(state["agreement"]) else None,
        }
    }


def next_step(setup: PairScorerSetup, state: PairScorerState) -> str:
    """Another draw while there are fewer than `draws`, or while they disagree and `most_draws` is not reached."""
    done, config = len(state["draws"]), setup.config
    if done < config.draws:
        return "score"
    return "score" if state["agreement"] < config.stable and done < config.most_draws else "record"


def agreement(draws: Sequence[Mapping[int, float]], lists: Sequence[Sequence[int]]) -> float:
    """Mean Kendall tau-b of the draws' rankings, in [-1, 1]; NaN with a single draw."""
    taus = [
        float(kendalltau([one[item] for item in items], [other[item] for item in items]).statistic)
        for one, other in itertools.combinations(draws, 2)
        for items in lists
        if len(items) > 1
    ]
    return float(np.mean(taus)) if taus else float("nan")


def machine(setup: PairScorerSetup) -> CompiledStateGraph[PairScorerState, Tools, PairScorerState, PairScorerState]:
    """The compiled graph; one invocation per user."""
    graph = StateGraph(PairScorerState, context_schema=Tools)
    graph.add_node("score", partial(score, setup))
    graph.add_node("validate", validate)
    graph.add_node("record", record)
    graph.add_edge(START, "score")
    graph.add_edge("score", "validate")
    graph.add_conditional_edges("validate", partial(next_step, setup), ["score", "record"])
    graph.add_edge("record", END)
    # LangGraph stops a graph after 25 node rounds unless told otherwise; this one's length is known.
    return graph.compile().with_config(recursion_limit=4 + 2 * setup.config.most_draws)
