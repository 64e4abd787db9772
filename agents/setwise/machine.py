"""The set-wise loop as a graph: introduce, then for each step assess -> validate -> reflect, and conclude.

    introduce -> begin_step -> assess -> [compare_held_back -> [replay ->]] validate -> reflect_*  -> assess ...
                     ^                                                         |
                     +------------------------ next step ----------------------+-----> conclude

`state.py` has what the nodes pass on and what is recorded, `judgement.py` the sets, their merge and the acceptance
rule, `reflection.py` claims and rewrites.

Set-wise assessment, mismatch and dual-path reflection are SRLF's (arXiv 2511.11370, abstract); what it leaves open is
declared in `config.py` and in these files as our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ..agent import Tools
from ..prompt_call import call_prompt, gather_all
from .config import SetwiseSetup
from .judgement import NAME, decision, distinct_sets, item_text, judge, mismatch, partitions, set_mismatch
from .reflection import (
    Cited,
    Claim,
    Mistake,
    admitted,
    claim_drafts,
    credited,
    faded,
    profile_reply,
    rewrite_items,
    rewrite_profile,
    within,
)
from .state import (
    RECALLED,
    HeldBackTest,
    PastStep,
    SetwiseState,
    confirmed_memos,
    first_memos,
    mismatch_rose,
    payload_of,
    rewrite_memos,
    trace_of_round,
    trace_of_step,
)

PROMPTS = ("setwise/profile", "setwise/assess", "setwise/reflect_profile", "setwise/reflect_items")

# --- nodes ------------------------------------------------------------------------------------------------------------


async def introduce(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """The first claims, from the seed history alone; claims without evidence in it are dropped."""
    config, seed = setup.config, state["seed_history"]
    history = {f"H{number}": state["facts"][item] for number, item in enumerate(seed, 1)}
    citable = {
        handle: Claim("", (Cited(item, place - len(seed), True),))
        for place, (handle, item) in enumerate(zip(history, seed, strict=True))
    }
    shared = {"words": config.profile_words, "evidence": config.evidence}
    reply = await call_prompt(
        runtime.context,
        setup,
        "setwise/profile",
        profile_reply(tuple(history) if config.evidence else ()),
        "describe",
        {"history": history, **shared},
        facts={"liked": history, **shared},
        agent=NAME,
    )
    first, dropped = admitted(claim_drafts(reply), citable, evidence=config.evidence)
    claims, crowded = within(faded(first, 0, config.half_life, 0.0)[0], config.profile_words)
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


async def begin_step(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """The next candidates: forget faded claims, recall notes that are older than the step."""
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
    entries = {
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
        "trace": trace_of_step(state, step, **entries),
    }


async def assess(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """Judge every set of the list with the drafts, concurrently."""
    config, round_ = setup.config, state["round"] + 1
    texts = [
        item_text(item, state["facts"], state["draft_semantics"])
        for item in state["steps"][state["step"]]["candidates"]
    ]
    repartition = config.dealings > 1 or (config.deal == "fresh" and round_ > 0)
    rng = np.random.default_rng([setup.seed, state["user"], state["step"], round_]) if repartition else None
    sets = partitions(len(texts), config.set_size, config.stride, config.dealings, rng)
    claims = [claim.text for claim in state["draft_claims"]]
    ranked = await judge(setup, runtime.context, claims, state["notes"], texts, sets)
    return {"draft_sets": ranked, "round": round_, "tested": None, "replayed": None}


async def compare_held_back(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """The acceptance test: held-back lists, judged with the accepted wording and with the rewrite, one by one.

    A list is the true item among items that this step has not shown, in one set of `set_size`, at least two; both
    wordings see the same set in the same order. The lists differ from round to round. Two calls a list, until
    `decision` is made.
    """
    config, step = setup.config, state["steps"][state["step"]]
    result = HeldBackTest(before=[], after=[], passed=False)
    if state["draft_claims"] == state["claims"] and state["draft_semantics"] == state["semantics"]:
        return {"tested": result}
    true_item = step["candidates"][step["positive"]]
    rng = np.random.default_rng([setup.seed, state["user"], state["step"], state["round"], 1])
    lists = distinct_sets(step.get("held_back", ()), max(1, config.set_size - 1), config.held_back, rng)
    verdict = None
    for others in lists:
        items = [true_item, *others]
        order = tuple(int(place) for place in rng.permutation(len(items)))

        async def loss(
            claims: tuple[Claim, ...],
            semantics: Mapping[int, str],
            items: list[int] = items,
            order: tuple[int, ...] = order,
        ) -> float:
            texts = [item_text(item, state["facts"], semantics) for item in items]
            named = [claim.text for claim in claims]
            ranked = await judge(setup, runtime.context, named, state["notes"], texts, [order])
            return round(set_mismatch(ranked, 0), 6)

        before, after = await gather_all(
            [loss(state["claims"], state["semantics"]), loss(state["draft_claims"], state["draft_semantics"])]
        )
        result["before"].append(before)
        result["after"].append(after)
        verdict = decision(result["before"], result["after"], config.wins, len(lists))
        if verdict is not None:
            break
    return {"tested": {**result, "passed": bool(verdict)}}


async def replay(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """Judge the last `replay` steps again, with the rewrite and, where not known yet, with the accepted wording.

    Only the sets that hold the true item, in reversed order, so that a correct place is not due to position alone. A
    small replay buffer, our own design.
    """
    past = [one for one in state["past"] if one["step"] < state["step"]][-setup.config.replay :]
    if not past:
        return {"replayed": None}

    async def loss(one: PastStep, claims: tuple[Claim, ...], semantics: Mapping[int, str]) -> float:
        step = state["steps"][one["step"]]
        texts = [item_text(item, state["facts"], semantics) for item in step["candidates"]]
        ranked = await judge(setup, runtime.context, [claim.text for claim in claims], one["notes"], texts, one["sets"])
        return set_mismatch(ranked, step["positive"])

    known = dict(state["known"])
    for one in past:
        if one["step"] not in known:
            known[one["step"]] = await loss(one, state["claims"], state["semantics"])
    after = [await loss(one, state["draft_claims"], state["draft_semantics"]) for one in past]
    steps = [one["step"] for one in past]
    before = [round(known[step], 6) for step in steps]
    return {
        "known": known,
        "replayed": {"steps": steps, "before": before, "after": [round(value, 6) for value in after]},
    }


async def validate(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """Compute the mismatch; accept the rewrite and store its memos, or roll it back.

    A rewrite is accepted when the mismatch of its own list did not rise, the held-back lists accept it
    (`compare_held_back`), and the mismatch of earlier lists did not rise (`replay`). In the first round, before the
    truth was shown, claims that led to the right choice gain it as evidence.
    """
    config = setup.config
    step, sets, first = state["steps"][state["step"]], state["draft_sets"], state["round"] == 0
    loss = mismatch(sets, step["positive"], len(step["candidates"]))
    replayed = state["replayed"]
    accepted = first or not config.acceptance or _passes(setup, state, loss)
    right: list[int] = []
    claims = state["draft_claims"]
    if first and config.evidence:
        correct = [one for one in sets if one.ranking[0] == step["positive"]]
        # A set of one item ranks it first in any case.
        right = sorted({p for one in correct if len(one.ranking) > 1 or loss <= config.tau for p in one.cited})
        claims = credited(claims, right, Cited(step["candidates"][step["positive"]], state["step"], True))
    trace = trace_of_round(setup, state, loss, accepted, right)
    if not accepted:
        return {
            "accepted": False,
            "draft_claims": state["claims"],
            "draft_semantics": state["semantics"],
            "draft_settled": state["settled"],
            "trace": trace,
        }
    memos = confirmed_memos(setup, state, loss) if first else rewrite_memos(state)
    runtime.context.memory.remember(memos)
    # Measured with this rewrite, so the next one is compared with it.
    known = dict(zip(replayed["steps"], replayed["after"], strict=True)) if replayed is not None else {}
    versions = dict(state["versions"])
    for item, text in state["draft_semantics"].items():
        if state["semantics"].get(item) != text:
            versions[item] = (*versions.get(item, ()), text)
    return {
        "memos": [*state["memos"], *memos],
        "accepted": True,
        "best": loss,
        "accepted_sets": sets,
        "claims": claims,
        "draft_claims": claims,
        "semantics": state["draft_semantics"],
        "versions": versions,
        "settled": state["draft_settled"],
        "known": known,
        "past": [*state["past"], _past_step(state)] if first else state["past"],
        "trace": trace,
    }


async def reflect_profile(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """The user path."""
    rewrite = await rewrite_profile(setup, runtime.context, _mistake(state))
    return {
        "draft_claims": rewrite.claims,
        "dropped": rewrite.dropped,
        "crowded": rewrite.crowded,
        "lesson": rewrite.lesson,
    }


async def reflect_items(setup: SetwiseSetup, state: SetwiseState, runtime: Runtime[Tools]) -> SetwiseState:
    """The item path."""
    semantics, settled = await rewrite_items(
        setup, runtime.context, _mistake(state), state["versions"], state["settled"]
    )
    return {"draft_semantics": semantics, "draft_settled": settled}


async def conclude(setup: SetwiseSetup, state: SetwiseState) -> SetwiseState:
    """The payload, with the profile as it is after the last step."""
    now = len(state["steps"])
    claims, forgotten = faded(state["claims"], now, setup.config.half_life, setup.config.forget_below)
    return {"payload": payload_of(setup, {**state, "claims": claims, "forgotten": [*state["forgotten"], *forgotten]})}


# --- edges ------------------------------------------------------------------------------------------------------------


def first_step(state: SetwiseState) -> Literal["begin_step", "conclude"]:
    """Without steps (`walk: 0`) the first profile is all."""
    return "begin_step" if state["steps"] else "conclude"


def after_assess(setup: SetwiseSetup, state: SetwiseState) -> Literal["compare_held_back", "replay", "validate"]:
    """Other lists are judged only for a rewrite that did not raise the mismatch of its own."""
    config, step = setup.config, state["steps"][state["step"]]
    if not (config.acceptance and state["round"]):
        return "validate"
    if mismatch(state["draft_sets"], step["positive"], len(step["candidates"])) > state["best"]:
        return "validate"
    return "compare_held_back" if config.held_back else after_test(setup, state)


def after_test(setup: SetwiseSetup, state: SetwiseState) -> Literal["replay", "validate"]:
    """Earlier lists are judged again only for a rewrite that held-back lists have accepted."""
    tested = state["tested"]
    return "replay" if setup.config.replay and (tested is None or tested["passed"]) else "validate"


def next_step(
    setup: SetwiseSetup, state: SetwiseState
) -> Sequence[Literal["reflect_profile", "reflect_items", "begin_step", "conclude"]]:
    """Reflect while there is a mismatch and a round left; after a rejected rewrite if another sample can differ."""
    may_differ = state["accepted"] or setup.sampling.temperature > 0
    if setup.config.paths and state["best"] > setup.config.tau and state["round"] < setup.config.rounds and may_differ:
        return [_REFLECT[path] for path in setup.config.paths]
    return ["begin_step" if state["step"] + 1 < len(state["steps"]) else "conclude"]


_REFLECT: dict[str, Literal["reflect_profile", "reflect_items"]] = {"user": "reflect_profile", "item": "reflect_items"}


def machine(setup: SetwiseSetup) -> CompiledStateGraph[SetwiseState, Tools, SetwiseState, SetwiseState]:
    """The compiled graph; a user's whole walk is one invocation."""
    graph = StateGraph(SetwiseState, context_schema=Tools)
    graph.add_node("introduce", partial(introduce, setup))
    graph.add_node("begin_step", partial(begin_step, setup))
    graph.add_node("assess", partial(assess, setup))
    graph.add_node("compare_held_back", partial(compare_held_back, setup))
    graph.add_node("replay", partial(replay, setup))
    graph.add_node("validate", partial(validate, setup))
    graph.add_node("reflect_profile", partial(reflect_profile, setup))
    graph.add_node("reflect_items", partial(reflect_items, setup))
    graph.add_node("conclude", partial(conclude, setup))
    graph.add_edge(START, "introduce")
    graph.add_conditional_edges("introduce", first_step, ["begin_step", "conclude"])
    graph.add_edge("begin_step", "assess")
    graph.add_conditional_edges("assess", partial(after_assess, setup), ["compare_held_back", "replay", "validate"])
    graph.add_conditional_edges("compare_held_back", partial(after_test, setup), ["replay", "validate"])
    graph.add_edge("replay", "validate")
    graph.add_conditional_edges(
        "validate",
        partial(next_step, setup),
        ["reflect_profile", "reflect_items", "begin_step", "conclude"],
    )
    graph.add_edge("reflect_profile", "assess")
    graph.add_edge("reflect_items", "assess")
    graph.add_edge("conclude", END)
    # LangGraph stops a graph after 25 supersteps by default; the length of this one is known.
    longest = 4 + setup.config.walk * (3 + 5 * setup.config.rounds)
    return graph.compile().with_config(recursion_limit=longest)


# --- parts of nodes ---------------------------------------------------------------------------------------------------


def _passes(setup: SetwiseSetup, state: SetwiseState, loss: float) -> bool:
    if loss > state["best"]:
        return False
    tested = state["tested"]
    if setup.config.held_back and not (tested is not None and tested["passed"]):
        return False
    return not mismatch_rose(state["replayed"])


def _past_step(state: SetwiseState) -> PastStep:
    """The sets of this step that hold the true item, reversed: the item shown first comes last."""
    step = state["steps"][state["step"]]
    sets = [one.shown_order[::-1] for one in state["draft_sets"] if step["positive"] in one.ranking]
    return {"step": state["step"], "sets": sets, "notes": state["notes"]}


def _mistake(state: SetwiseState) -> Mistake:
    step: Mapping[str, Any] = state["steps"][state["step"]]
    return Mistake(
        step=state["step"],
        round=state["round"],
        candidates=step["candidates"],
        positive=step["positive"],
        sets=state["accepted_sets"],
        mismatch=state["best"],
        claims=state["claims"],
        semantics=state["semantics"],
        facts=state["facts"],
    )
