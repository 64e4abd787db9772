"""The denoiser's graph: doubt every item, combine with the collaborative vote, try replacements, record.

    review ----------------+-> validate -+-> record
    describe -> rate ------+             +-> suggest -> accept -> record
       (hard_samples)                        (action replace)

A task is a user's sequence, judged in windows. Items are codes, places count from the oldest item; what a record holds
names the user by the data's own id. No label of planted noise is in it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..agent import Tools
from ..prompt_call import gather_all
from .doubts import (
    DenoiserSetup,
    choose_substitute,
    describe_interests,
    rate_items,
    review_window,
    revise_interests,
)
from .guards import Guard, guarded

# --- state ------------------------------------------------------------------------------------------------------------


class Substitute(TypedDict):
    """A candidate for a place: the item, its fit, and the doubt before and with it."""

    item: int
    fit: float
    before: float
    after: float


class DenoiserState(TypedDict, total=False):
    user: int | str
    """The data's own id."""
    catalogue: str
    """Digest of the item ids that the codes stand for."""
    items: list[int]
    """The sequence, oldest first."""
    weights: list[float]
    """Weight of each row before the edit."""
    windows: list[list[int]]
    """Places, each in one window; those of items without text in none."""
    facts: dict[int, str]
    votes: list[float | None]
    near: list[list[float]]
    """(n, n) likeness of the items."""
    offers: dict[int, list[int]]
    """replace: place -> candidates, for each place that may be edited."""
    suspects: list[int]
    """hard_samples: places of high and changing loss."""
    often: list[int]
    """hard_samples: places whose loss was high in many epochs."""
    profile: str
    doubts: list[float | None]
    reasons: list[str]
    scores: list[float | None]
    edited: list[int]
    spared: dict[int, Guard]
    trials: dict[int, Substitute]
    payload: dict[str, Any]


# --- nodes ------------------------------------------------------------------------------------------------------------


async def review(setup: DenoiserSetup, state: DenoiserState, runtime: Runtime[Tools]) -> DenoiserState:
    """A doubt for each item, window by window."""
    reviews = await gather_all(
        [
            review_window(setup, [state["facts"][state["items"][place]] for place in window], runtime.context)
            for window in state["windows"]
        ]
    )
    doubts: list[float | None] = [None] * len(state["items"])
    reasons = [""] * len(state["items"])
    for window, (given, why) in zip(state["windows"], reviews, strict=True):
        for place, doubt, reason in zip(window, given, why, strict=True):
            doubts[place], reasons[place] = doubt, reason
    return {"doubts": doubts, "reasons": reasons}


async def describe(setup: DenoiserSetup, state: DenoiserState, runtime: Runtime[Tools]) -> DenoiserState:
    """hard_samples: the profile, from what is not in doubt, or from everything where all is."""
    worded = sorted(place for window in state["windows"] for place in window)
    places = [place for place in worded if place not in state["suspects"]] or worded
    history = [state["facts"][state["items"][place]] for place in places]
    return {"profile": await describe_interests(setup, history, runtime.context)}


async def rate(setup: DenoiserSetup, state: DenoiserState, runtime: Runtime[Tools]) -> DenoiserState:
    """hard_samples: rate the suspects by the profile, then rewrite the profile by the ratings."""
    texts = [state["facts"][state["items"][place]] for place in state["suspects"]]
    ratings = await rate_items(setup, state["profile"], texts, runtime.context)
    doubts: list[float | None] = [None] * len(state["items"])
    reasons = [""] * len(state["items"])
    wrong: list[str] = []
    right: list[str] = []
    for place, text, rating in zip(state["suspects"], texts, ratings, strict=True):
        hard = rating >= setup.config.hard.keep_from
        # A hard sample is kept whatever the vote says: the model was asked to separate hard samples from noise.
        doubts[place] = 0.0 if hard else (10 - rating) / 9
        reasons[place] = f"rated {rating} of 10 against the profile"
        if place in state["often"]:
            (right if hard else wrong).append(text)
    profile = state["profile"]
    if wrong or right:
        profile = await revise_interests(setup, profile, wrong, right, runtime.context)
    return {"doubts": doubts, "reasons": reasons, "profile": profile}


async def validate(setup: DenoiserSetup, state: DenoiserState) -> DenoiserState:
    """Combine doubt and vote, then apply the guards: cold items, new interests at the end, the budget."""
    config = setup.config
    votes = state["votes"]
    if config.mode == "hard_samples":
        votes = [0.0 if doubt == 0.0 else vote for doubt, vote in zip(state["doubts"], votes, strict=True)]
    scores, edited, spared = guarded(
        state["doubts"], votes, np.array(state["near"]), config.guards, config.vote.weight, config.threshold
    )
    return {"scores": scores, "edited": edited, "spared": spared}


async def suggest(setup: DenoiserSetup, state: DenoiserState, runtime: Runtime[Tools]) -> DenoiserState:
    """A candidate for each place that is taken for noise, where the model names one."""
    places = [place for place in state["edited"] if state["offers"].get(place)]
    named = await gather_all(
        [
            choose_substitute(
                setup,
                [state["facts"][state["items"][at]] for at in _beside(state, place)],
                [state["facts"][item] for item in state["offers"][place]],
                runtime.context,
            )
            for place in places
        ]
    )
    trials: dict[int, Substitute] = {}
    for place, (which, fit) in zip(places, named, strict=True):
        before = state["doubts"][place]
        item = None if which is None else state["offers"][place][which]
        if item is not None and before is not None and item not in [trial["item"] for trial in trials.values()]:
            trials[place] = {"item": item, "fit": fit, "before": before, "after": before}
    return {"trials": trials}


async def accept(setup: DenoiserSetup, state: DenoiserState, runtime: Runtime[Tools]) -> DenoiserState:
    """Review the windows again with the replacements: one that is doubted no less is rolled back."""
    trials = {place: Substitute(**trial) for place, trial in state["trials"].items()}
    windows = [window for window in state["windows"] if any(place in trials for place in window)]
    reviews = await gather_all(
        [
            review_window(
                setup,
                [state["facts"][trials[at]["item"] if at in trials else state["items"][at]] for at in window],
                runtime.context,
            )
            for window in windows
        ]
    )
    for window, (doubts, _) in zip(windows, reviews, strict=True):
        for place, doubt in zip(window, doubts, strict=True):
            if place in trials:
                trials[place]["after"] = doubt
    return {"trials": trials}


async def record(setup: DenoiserSetup, state: DenoiserState) -> DenoiserState:
    """The payload: each place with doubt, vote, score and verdict."""
    trials = state.get("trials", {})
    rows = []
    for place, item in enumerate(state["items"]):
        doubt, vote, score = state["doubts"][place], state["votes"][place], state["scores"][place]
        if doubt is None:
            continue
        row: dict[str, Any] = {
            "at": place,
            "item": item,
            "doubt": round(doubt, 6),
            "vote": None if vote is None else round(vote, 6),
            "score": None if score is None else round(score, 6),
            "verdict": "keep",
        }
        if place in state["spared"]:
            row["guard"] = state["spared"][place]
        if place in state["edited"]:
            row |= {"reason": state["reasons"][place], "weight": state["weights"][place]}
            row["verdict"] = setup.config.action
            if setup.config.action == "replace":
                trial = trials.get(place)
                taken = trial is not None and trial["after"] < trial["before"]
                row["verdict"] = "replace" if taken else "keep"
                if trial is not None:
                    row |= {"new": trial["item"], "fit": round(trial["fit"], 6), "after": round(trial["after"], 6)}
                row["rolled_back"] = not taken
        rows.append(row)
    payload = {"user": state["user"], "catalogue": state["catalogue"], "mode": setup.config.mode, "rows": rows}
    if "profile" in state:
        payload["profile"] = state["profile"]
    return {"payload": payload}


# --- edges ------------------------------------------------------------------------------------------------------------


def next_step(setup: DenoiserSetup, state: DenoiserState) -> str:
    """Ask for replacements only where a row is to be replaced."""
    return "suggest" if setup.config.action == "replace" and state["edited"] else "record"


def on_trial(state: DenoiserState) -> str:
    return "accept" if state["trials"] else "record"


def machine(setup: DenoiserSetup) -> CompiledStateGraph[DenoiserState, Tools, DenoiserState, DenoiserState]:
    """The compiled graph; a user's sequence is one invocation."""
    graph = StateGraph(DenoiserState, context_schema=Tools)
    graph.add_node("review", partial(review, setup))
    graph.add_node("describe", partial(describe, setup))
    graph.add_node("rate", partial(rate, setup))
    graph.add_node("validate", partial(validate, setup))
    graph.add_node("suggest", partial(suggest, setup))
    graph.add_node("accept", partial(accept, setup))
    graph.add_node("record", partial(record, setup))
    graph.add_edge(START, "describe" if setup.config.mode == "hard_samples" else "review")
    graph.add_edge("describe", "rate")
    graph.add_edge("rate", "validate")
    graph.add_edge("review", "validate")
    graph.add_conditional_edges("validate", partial(next_step, setup), ["suggest", "record"])
    graph.add_conditional_edges("suggest", on_trial, ["accept", "record"])
    graph.add_edge("accept", "record")
    graph.add_edge("record", END)
    return graph.compile()


def _beside(state: DenoiserState, place: int) -> list[int]:
    """The places of its window that are not taken for noise."""
    window = next(window for window in state["windows"] if place in window)
    return [at for at in window if at != place and at not in state["edited"]]
