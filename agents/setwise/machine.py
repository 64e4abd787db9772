"""The set-wise loop as a state machine: introduce, then for each step assess -> validate -> reflect, and conclude.

    introduce -> begin_step -> assess -> [replay ->] validate -> reflect_profile, reflect_items -> assess ...
                     ^                                  |
                     +----------- next step ------------+-----> conclude

Read on in the order of the work: what is passed on (`state.py`), what is asked for (`replies.py`), claims and their
evidence (`claims.py`), sets (`partition.py`, `judging.py`), reflections (`reflecting.py`, `settling.py`), the second
part of the acceptance test (`replaying.py`), what is remembered (`remembering.py`) and recorded (`telling.py`).

Set-wise assessment, mismatch and dual-path reflection are SRLF's (arXiv 2511.11370, abstract); everything it leaves
unsaid is declared in `config.py` and in these files as our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ... import prompts
from ..agent import Tools
from ..chat.structured import ask
from ..chat.types import Facts
from .claims import Cited, Claim, admitted, credited, faded, within
from .judging import described, judge
from .partition import dealt, mismatch
from .reflecting import reflect_items, reflect_profile
from .remembering import first_memos, foreseen, rewritten
from .replaying import remembered, replay, rose
from .replies import profile_reply, written
from .state import NAME, RECALLED, Setup, State
from .trace_records import begun, concluded, judged

PROMPTS = ("setwise/profile", "setwise/assess", "setwise/reflect_profile", "setwise/reflect_items")

# --- nodes ------------------------------------------------------------------------------------------------------------


async def introduce(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The first claims, from the seed history alone; those without evidence in it are dropped."""
    config, seed = setup.config, state["seed_history"]
    history = {f"H{number}": state["facts"][item] for number, item in enumerate(seed, 1)}
    citable = {
        handle: Claim("", (Cited(item, place - len(seed), True),))
        for place, (handle, item) in enumerate(zip(history, seed, strict=True))
    }
    reply: Any = await ask(
        runtime.context,
        prompts.load("setwise/profile", setup.wording).render(
            history=history, words=config.profile_words, evidence=config.evidence
        ),
        profile_reply(tuple(history) if config.evidence else ()),
        facts=Facts("describe", {"liked": history, "words": config.profile_words, "evidence": config.evidence}),
        sampling=setup.sampling,
        agent=NAME,
    )
    found, dropped = admitted(written(reply), citable, evidence=config.evidence)
    claims, crowded = within(faded(found, 0, config.half_life, 0.0)[0], config.profile_words)
    memos = first_memos(state, claims)
    runtime.context.memory.remember(memos)
    return {
        "first_claims": claims,
        "first_dropped": dropped,
        "first_crowded": crowded,
        "claims": claims,
        "forgotten": [],
        "semantics": {},
        "versions": {},
        "settled": frozenset(),
        "step": -1,
        "past": [],
        "memos": memos,
        "trace": [],
    }


async def begin_step(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The next candidates; what has faded is forgotten, and memory says what it has. Notes are older than the step."""
    config, step = setup.config, state["step"] + 1
    claims, forgotten = faded(state["claims"], step, config.half_life, config.forget_below)
    notes: list[str] = []
    if config.notes:
        about = " ".join(state["facts"][item] for item in state["steps"][step]["candidates"])
        owner = f"user:{state['user']}"
        recalled = runtime.context.memory.recall(
            owner, about, config.notes, now=step - 1, kinds=RECALLED, weights=config.recall
        )
        notes = [memo.text for memo in recalled]
    told = {
        "notes": notes,
        "claims": [claim.text for claim in claims],
        "forgotten": [
            {"text": claim.text, "strength": round(claim.strength(step, config.half_life), 4), "latest": claim.latest}
            for claim in forgotten
        ],
    }
    return {
        "step": step,
        "round": -1,
        "notes": notes,
        "claims": claims,
        "forgotten": [*state["forgotten"], *forgotten],
        "draft_claims": claims,
        "draft_semantics": state["semantics"],
        "draft_settled": state["settled"],
        "dropped": (),
        "crowded": (),
        "lesson": "",
        "known": {},
        "trace": begun(state, step, **told),
    }


async def assess(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """Every set judged at once, in calls that run side by side."""
    config, round_ = setup.config, state["round"] + 1
    shown = [
        described(item, state["facts"], state["draft_semantics"])
        for item in state["steps"][state["step"]]["candidates"]
    ]
    anew = config.dealings > 1 or (config.deal == "fresh" and round_ > 0)
    rng = np.random.default_rng([setup.seed, state["user"], state["step"], round_]) if anew else None
    sets = dealt(len(shown), config.set_size, config.stride, config.dealings, rng)
    texts = [claim.text for claim in state["draft_claims"]]
    fresh = await judge(setup, runtime.context, texts, state["notes"], shown, sets)
    return {"fresh": fresh, "round": round_, "replayed": None}


async def validate(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """Mismatch with the truth; a rewrite that did not raise it is kept and remembered, another is rolled back.

    In the first round, when nobody was told the truth, claims that led to the right choice gain it as evidence.
    """
    step, fresh, first = state["steps"][state["step"]], state["fresh"], state["round"] == 0
    loss = mismatch(fresh, step["positive"], len(step["candidates"]))
    replayed = state["replayed"]
    kept = first or not setup.config.acceptance or (loss <= state["best"] and not rose(replayed))
    right: list[int] = []
    claims = state["draft_claims"]
    if first and setup.config.evidence:
        told = [one for one in fresh if one.ranking[0] == step["positive"]]
        # A set of one item puts it first whatever is thought of it.
        right = sorted({p for one in told if len(one.ranking) > 1 or loss <= setup.config.tau for p in one.cited})
        claims = credited(claims, right, Cited(step["candidates"][step["positive"]], state["step"], True))
    trace = judged(setup, state, loss, kept, right)
    if not kept:
        return {
            "kept": False,
            "draft_claims": state["claims"],
            "draft_semantics": state["semantics"],
            "draft_settled": state["settled"],
            "trace": trace,
        }
    memos = foreseen(setup, state, loss) if first else rewritten(state)
    runtime.context.memory.remember(memos)
    # What was measured with this draft is what the next one is held against.
    known = dict(zip(replayed["steps"], replayed["after"], strict=True)) if replayed is not None else {}
    versions = dict(state["versions"])
    for item, text in state["draft_semantics"].items():
        if state["semantics"].get(item) != text:
            versions[item] = (*versions.get(item, ()), text)
    return {
        "memos": [*state["memos"], *memos],
        "kept": True,
        "best": loss,
        "judged": fresh,
        "claims": claims,
        "draft_claims": claims,
        "semantics": state["draft_semantics"],
        "versions": versions,
        "settled": state["draft_settled"],
        "known": known,
        "past": [*state["past"], remembered(state, fresh)] if first else state["past"],
        "trace": trace,
    }


async def conclude(setup: Setup, state: State) -> State:
    """What the record keeps; the profile as it will be read after the last step."""
    now = len(state["steps"])
    claims, forgotten = faded(state["claims"], now, setup.config.half_life, setup.config.forget_below)
    ended: State = {**state, "claims": claims, "forgotten": [*state["forgotten"], *forgotten]}
    return {"payload": concluded(ended)}


# --- edges ------------------------------------------------------------------------------------------------------------


def first_step(state: State) -> Literal["begin_step", "conclude"]:
    """Nothing is walked through where the settings ask for a first profile alone."""
    return "begin_step" if state["steps"] else "conclude"


def after_assess(setup: Setup, state: State) -> Literal["replay", "validate"]:
    """Earlier lists are judged again only for a rewrite that has passed on its own list."""
    config, step = setup.config, state["steps"][state["step"]]
    if not (config.acceptance and config.replay and state["round"]):
        return "validate"
    passed = mismatch(state["fresh"], step["positive"], len(step["candidates"])) <= state["best"]
    return "replay" if passed else "validate"


def next_step(
    setup: Setup, state: State
) -> Sequence[Literal["reflect_profile", "reflect_items", "begin_step", "conclude"]]:
    """Reflect while there is a mismatch and a round left; after a rejected rewrite only if another draw can differ."""
    may_differ = state["kept"] or setup.sampling.temperature > 0
    if setup.config.paths and state["best"] > setup.config.tau and state["round"] < setup.config.rounds and may_differ:
        return [_REFLECT[path] for path in setup.config.paths]
    return ["begin_step" if state["step"] + 1 < len(state["steps"]) else "conclude"]


_REFLECT: dict[str, Literal["reflect_profile", "reflect_items"]] = {"user": "reflect_profile", "item": "reflect_items"}


def machine(setup: Setup) -> CompiledStateGraph[State, Tools, State, State]:
    """The compiled graph; a user's whole walk is one invocation."""
    graph = StateGraph(State, context_schema=Tools)
    graph.add_node("introduce", partial(introduce, setup))
    graph.add_node("begin_step", partial(begin_step, setup))
    graph.add_node("assess", partial(assess, setup))
    graph.add_node("replay", partial(replay, setup))
    graph.add_node("validate", partial(validate, setup))
    graph.add_node("reflect_profile", partial(reflect_profile, setup))
    graph.add_node("reflect_items", partial(reflect_items, setup))
    graph.add_node("conclude", partial(conclude, setup))
    graph.add_edge(START, "introduce")
    graph.add_conditional_edges("introduce", first_step, ["begin_step", "conclude"])
    graph.add_edge("begin_step", "assess")
    graph.add_conditional_edges("assess", partial(after_assess, setup), ["replay", "validate"])
    graph.add_edge("replay", "validate")
    graph.add_conditional_edges(
        "validate",
        partial(next_step, setup),
        ["reflect_profile", "reflect_items", "begin_step", "conclude"],
    )
    graph.add_edge("reflect_profile", "assess")
    graph.add_edge("reflect_items", "assess")
    graph.add_edge("conclude", END)
    # LangGraph stops a graph after 25 node rounds unless told otherwise; this one's length is known.
    longest = 4 + setup.config.walk * (3 + 4 * setup.config.rounds)
    return graph.compile().with_config(recursion_limit=longest)
