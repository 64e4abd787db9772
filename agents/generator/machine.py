"""The generator as a state machine: choose a slate by need, propose, ground, check, record.

                +-> pick_items   (next_item)        \\
    choose -----+-> name_titles  (next_item, free)   +--> ground -> check -> record
                +-> ask_users    (cold_item)         |
                +-> compare      (pairs)            /

A task is a user, or for `cold_item` an item of the long tail. What a record holds names users by the data's own ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..agent import Tools
from ..chat.handles import handles_for, judgement_reply
from ..grounding import Grounder
from ..prompt_call import AgentSetup, call_prompt, gather_all
from .config import Generate
from .replies import extremes_reply, picks_reply, titles_reply

NAME = "generate"
PROMPTS = ("generate/next_item", "generate/name_titles", "generate/users", "generate/pair")
_TITLES_LISTED = 20
"""Unmatched titles that a record lists; all are counted."""

GeneratorSetup = AgentSetup[Generate]


# --- state ------------------------------------------------------------------------------------------------------------


class Candidate(TypedDict):
    """An item that a user could hold, or, for `cold_item`, a user who could hold the item."""

    item: int
    fit: float
    """How plausible, in [0, 1]."""
    tail: bool


class AudienceMember(TypedDict):
    """A user, as `cold_item` shows one."""

    user: int | str
    recent: list[int]


class Proposal(TypedDict):
    """A proposal of the model: an item or user by its place in the slate, or, in free text, a title."""

    place: int
    title: str
    score: float


class GeneratorState(TypedDict, total=False):
    """What the nodes pass on. `user` is the data's own id; items are codes."""

    user: int | str
    catalogue: str
    """Digest of the item ids that the codes stand for."""
    item: int
    """cold_item: the target."""
    draw: int
    """Names the random stream of this task's slate."""
    recent: list[int]
    seen: list[int]
    """All items of the user."""
    pool: list[Candidate]
    people: list[AudienceMember]
    """cold_item: the most plausible users, the best first."""
    tail: list[int]
    """free: items that a title may be grounded to and that are tail."""
    grounder: Grounder
    """free: where titles are looked up."""
    facts: dict[int, str]
    slate: list[int]
    """next_item, pairs: items shown; cold_item: places in `people`."""
    proposals: list[Proposal]
    grounded: list[dict[str, Any]]
    matched: dict[str, int]
    unmatched: list[str]
    accepted: list[dict[str, Any]]
    dropped: dict[str, int]
    payload: dict[str, Any]


# --- nodes ------------------------------------------------------------------------------------------------------------


async def choose(setup: GeneratorSetup, state: GeneratorState) -> GeneratorState:
    """The slate: by plausibility and need, then shuffled, so that position carries no information."""
    config = setup.config
    if config.mode == "cold_item":
        return {"slate": list(range(len(state["people"])))[: config.slate_size], "proposals": []}
    if config.free:
        return {"slate": [], "proposals": []}
    chosen = slate_of(state["pool"], config)
    slate = [int(item) for item in np.random.default_rng(state["draw"]).permutation(chosen)]
    return {"slate": slate, "proposals": []}


async def pick_items(setup: GeneratorSetup, state: GeneratorState, runtime: Runtime[Tools]) -> GeneratorState:
    """The user's likely next items, by handle."""
    history = [state["facts"][item] for item in state["recent"]]
    names = handles_for(len(state["slate"]))
    options = {h: state["facts"][item] for h, item in zip(names, state["slate"], strict=True)}
    most = min(setup.config.proposals, len(names))
    values = {"history": history, "options": options, "most": most}
    reply: Any = await call_prompt(
        runtime.context, setup, "generate/next_item", picks_reply(names, most), "pick", values, agent=NAME
    )
    places = {h: place for place, h in enumerate(names)}
    return {"proposals": [Proposal(place=places[p.item], title="", score=p.score) for p in reply.picks]}


async def name_titles(setup: GeneratorSetup, state: GeneratorState, runtime: Runtime[Tools]) -> GeneratorState:
    """The user's likely next items in the model's own words."""
    history = [state["facts"][item] for item in state["recent"]]
    most = setup.config.proposals
    values = {"history": history, "most": most}
    reply: Any = await call_prompt(
        runtime.context, setup, "generate/name_titles", titles_reply(most), "name", values, agent=NAME
    )
    return {"proposals": [Proposal(place=-1, title=named.title, score=named.score) for named in reply.titles]}


async def ask_users(setup: GeneratorSetup, state: GeneratorState, runtime: Runtime[Tools]) -> GeneratorState:
    """Ask which users would take the item, yes or no, one call a set, concurrently."""
    item, size = state["facts"][state["item"]], setup.config.set_size

    async def one(places: Sequence[int]) -> list[Proposal]:
        names = handles_for(len(places))
        people = {
            h: [state["facts"][i] for i in state["people"][p]["recent"]] for h, p in zip(names, places, strict=True)
        }
        values = {"item": item, "people": people}
        reply: Any = await call_prompt(
            runtime.context, setup, "generate/users", judgement_reply(names), "would_take", values, agent=NAME
        )
        answers = {entry.item: entry for entry in reply.judgements}
        return [
            Proposal(place=p, title="", score=answers[h].confidence)
            for h, p in zip(names, places, strict=True)
            if answers[h].answer == "yes"
        ]

    sets = [state["slate"][at : at + size] for at in range(0, len(state["slate"]), size)]
    return {"proposals": [p for accepted in await gather_all(one(places) for places in sets) for p in accepted]}


async def compare(setup: GeneratorSetup, state: GeneratorState, runtime: Runtime[Tools]) -> GeneratorState:
    """The favourite and the least favourite of what a base model would show."""
    history = [state["facts"][item] for item in state["recent"]]
    names = handles_for(len(state["slate"]))
    options = {h: state["facts"][item] for h, item in zip(names, state["slate"], strict=True)}
    values = {"history": history, "options": options}
    reply: Any = await call_prompt(
        runtime.context, setup, "generate/pair", extremes_reply(names), "extremes", values, agent=NAME
    )
    places = {h: place for place, h in enumerate(names)}
    both = (places[reply.favourite], 1.0), (places[reply.least], 0.0)
    return {"proposals": [Proposal(place=place, title="", score=score) for place, score in both]}


async def ground(setup: GeneratorSetup, state: GeneratorState) -> GeneratorState:
    """Every proposal as an item (cold_item: a user): a handle is one by construction, a title is looked up."""
    matched: Counter[str] = Counter()
    grounded: list[dict[str, Any]] = []
    unmatched: list[str] = []
    for proposal in state["proposals"]:
        if proposal["place"] >= 0:
            matched["handle"] += 1
            grounded.append({"target": state["slate"][proposal["place"]], "score": proposal["score"]})
            continue
        match = state["grounder"](proposal["title"])
        matched[match.how] += 1
        if match.item is None:
            unmatched.append(match.title)
        else:
            grounded.append({"target": match.item, "score": proposal["score"], "title": match.title, "how": match.how})
    return {"grounded": grounded, "matched": dict(matched), "unmatched": unmatched}


async def check(setup: GeneratorSetup, state: GeneratorState) -> GeneratorState:
    """Drop proposals that the user holds already, that repeat another, or that are popular items."""
    seen, tail = set(state.get("seen", ())), set(state.get("tail", ()))
    tail |= {one["item"] for one in state.get("pool", ()) if one["tail"]}
    accepted: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    for one in state["grounded"]:
        if setup.config.mode != "next_item":
            accepted.append(one)
        elif one["target"] in seen:
            dropped["seen"] += 1
        elif any(one["target"] == other["target"] for other in accepted):
            dropped["duplicate"] += 1
        elif setup.config.popular == "drop" and one["target"] not in tail:
            dropped["popular"] += 1
        else:
            accepted.append(one)
    return {"accepted": accepted, "dropped": dict(dropped)}


async def record(setup: GeneratorSetup, state: GeneratorState) -> GeneratorState:
    """The payload."""
    payload: dict[str, Any] = {
        "mode": setup.config.mode,
        "catalogue": state["catalogue"],
        "shown": len(state["slate"]),
        "matched": state["matched"],
        "dropped": state["dropped"],
    }
    accepted = state["accepted"]
    if setup.config.mode == "pairs":
        targets = [one["target"] for one in accepted]
        pairs = [{"preferred": targets[0], "other": targets[1]}] if targets else []
        payload |= {"user": state["user"], "pairs": pairs, "rows": []}
    elif setup.config.mode == "cold_item":
        rows = [
            {"user": state["people"][one["target"]]["user"], "item": state["item"], "score": one["score"]}
            for one in accepted
        ]
        payload |= {"item": state["item"], "rows": rows}
    else:
        rows = [
            {"user": state["user"], "item": one["target"], "score": one["score"]}
            | {name: one[name] for name in ("title", "how") if name in one}
            for one in accepted
        ]
        payload |= {"user": state["user"], "rows": rows, "unmatched": state["unmatched"][:_TITLES_LISTED]}
    return {"payload": payload}


# --- edges ------------------------------------------------------------------------------------------------------------

Way = Literal["pick_items", "name_titles", "ask_users", "compare"]
WAYS: dict[str, Way] = {"next_item": "pick_items", "cold_item": "ask_users", "pairs": "compare"}


def way(setup: GeneratorSetup, state: GeneratorState) -> Way | Literal["ground"]:
    """The node that proposes in this mode; none where there are too few items or users to choose from."""
    least = 2 if setup.config.mode == "pairs" else 1
    if len(state["slate"]) < least and not setup.config.free:
        return "ground"
    return "name_titles" if setup.config.free else WAYS[setup.config.mode]


def machine(setup: GeneratorSetup) -> CompiledStateGraph[GeneratorState, Tools, GeneratorState, GeneratorState]:
    """The compiled graph; one user, or one item, is one invocation."""
    graph = StateGraph(GeneratorState, context_schema=Tools)
    graph.add_node("choose", partial(choose, setup))
    graph.add_node("pick_items", partial(pick_items, setup))
    graph.add_node("name_titles", partial(name_titles, setup))
    graph.add_node("ask_users", partial(ask_users, setup))
    graph.add_node("compare", partial(compare, setup))
    graph.add_node("ground", partial(ground, setup))
    graph.add_node("check", partial(check, setup))
    graph.add_node("record", partial(record, setup))
    graph.add_edge(START, "choose")
    ways: list[Way] = ["pick_items", "name_titles", "ask_users", "compare"]
    graph.add_conditional_edges("choose", partial(way, setup), [*ways, "ground"])
    for proposing in ways:
        graph.add_edge(proposing, "ground")
    graph.add_edge("ground", "check")
    graph.add_edge("check", "record")
    graph.add_edge("record", END)
    return graph.compile()


# --- the slate --------------------------------------------------------------------------------------------------------


def slate_of(pool: Sequence[Candidate], config: Generate) -> list[int]:
    """At most `slate_size` items of the pool: by plausibility times alpha or beta, or with a quota kept for the tail.

    pairs: the base model's own order, whatever is tail. Equal candidates keep the order of the pool.
    """
    if config.mode == "pairs":
        return [one["item"] for one in sorted(pool, key=lambda one: -one["fit"])[: config.slate_size]]
    if config.quota is None:
        weight = {True: config.alpha, False: config.beta}
        return [
            one["item"] for one in sorted(pool, key=lambda one: -one["fit"] * weight[one["tail"]])[: config.slate_size]
        ]
    places = round(config.quota * config.slate_size)
    by_fit = sorted(pool, key=lambda one: -one["fit"])
    tail = [one["item"] for one in by_fit if one["tail"]][:places]
    head = [one["item"] for one in by_fit if not one["tail"]][: config.slate_size - len(tail)]
    return tail + head
