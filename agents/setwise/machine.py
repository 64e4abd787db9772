"""The set-wise loop as a state machine: introduce, then for each step assess -> validate -> reflect, and conclude.

    introduce -> begin_step -> assess -> validate -> reflect_profile, reflect_items -> assess ...
                     ^                       |
                     +---- next step --------+-----> conclude

Set-wise assessment, mismatch and dual-path reflection are SRLF's (arXiv 2511.11370, abstract); everything it leaves
unsaid is declared in `config.py`, `partition.py` and here as our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, create_model

from ... import prompts
from ..agent import Tools
from ..chat.handles import handles_for, ranking_reply
from ..chat.structured import ask
from ..chat.types import Facts, Sampling
from ..memory.memory import Kind, Memo
from .config import Setwise
from .partition import Judged, logistic_mismatch, merge, misjudged, mismatch, order_of, windows, wrongly_above

NAME = "setwise"
PROMPTS = ("setwise/profile", "setwise/assess", "setwise/reflect_profile", "setwise/reflect_items")
FORESEEN = 0.3
"""Importance of a choice that the agent had right, beside at least .5 of one it had wrong; our own value."""
RECALLED: tuple[Kind, ...] = ("reflection", "evidence")


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node of one machine shares."""

    config: Setwise = Setwise()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""


# --- state ------------------------------------------------------------------------------------------------------------


class Step(TypedDict):
    """One walk through a user's train history: the item chosen then, among others."""

    positive: int
    """Its place in `candidates`."""
    candidates: list[int]
    """Item codes, shuffled."""


class State(TypedDict, total=False):
    """What the nodes pass on. `profile` and `semantics` are what was accepted; the drafts are on trial."""

    user: int
    seed_history: list[int]
    steps: list[Step]
    facts: dict[int, str]
    """Item code -> its facts as text: title, categories, description."""
    first_profile: str
    profile: str
    semantics: dict[int, str]
    """Only items whose description was rewritten."""
    draft_profile: str
    draft_semantics: dict[int, str]
    lesson: str
    step: int
    round: int
    notes: list[str]
    fresh: list[Judged]
    """The sets as judged with the drafts."""
    judged: list[Judged]
    """The sets as judged with what was accepted."""
    best: float
    """Mismatch of what was accepted at this step."""
    kept: bool
    memos: list[Memo]
    """Everything remembered in this walk."""
    trace: list[dict[str, Any]]
    payload: dict[str, Any]


# --- replies ----------------------------------------------------------------------------------------------------------


class Profile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    profile: str = Field(min_length=1)


class Reflection(BaseModel):
    model_config = ConfigDict(extra="forbid")
    lesson: str = Field(min_length=1)
    profile: str = Field(min_length=1)


@lru_cache(maxsize=64)
def descriptions(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply that holds a description for each of these handles."""
    texts: dict[str, Any] = {h: (str, Field(min_length=1)) for h in names}
    return create_model("Descriptions", __config__=ConfigDict(extra="forbid"), **texts)


# --- nodes ------------------------------------------------------------------------------------------------------------


async def introduce(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The first profile, from the seed history alone."""
    history = [state["facts"][item] for item in state["seed_history"]]
    reply = await ask(
        runtime.context,
        prompts.load("setwise/profile", setup.wording).render(history=history, words=setup.config.profile_words),
        Profile,
        facts=Facts("describe", {"liked": history, "words": setup.config.profile_words}),
        sampling=setup.sampling,
        agent=NAME,
    )
    profile = capped(reply.profile, setup.config.profile_words)
    return {"first_profile": profile, "profile": profile, "semantics": {}, "step": -1, "memos": [], "trace": []}


async def begin_step(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The next candidates, and what memory has to say about them. Notes are older than the step they are read at."""
    step = state["step"] + 1
    notes: list[str] = []
    if setup.config.notes:
        about = " ".join(state["facts"][item] for item in state["steps"][step]["candidates"])
        owner = f"user:{state['user']}"
        recalled = runtime.context.memory.recall(owner, about, setup.config.notes, now=step - 1, kinds=RECALLED)
        notes = [memo.text for memo in recalled]
    return {
        "step": step,
        "round": -1,
        "notes": notes,
        "draft_profile": state["profile"],
        "draft_semantics": state["semantics"],
        "lesson": "",
        "trace": [*state["trace"], {**state["steps"][step], "notes": notes, "rounds": []}],
    }


async def assess(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """Every overlapping set judged at once, in calls that run side by side."""
    shown = [
        described(item, state["facts"], state["draft_semantics"])
        for item in state["steps"][state["step"]]["candidates"]
    ]
    fresh = await judge(setup, runtime.context, state["draft_profile"], state["notes"], shown)
    return {"fresh": fresh, "round": state["round"] + 1}


async def validate(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """Mismatch with the truth; a rewrite that did not raise it is kept and remembered, another is rolled back."""
    step, fresh = state["steps"][state["step"]], state["fresh"]
    loss = mismatch(fresh, step["positive"], len(step["candidates"]))
    first = state["round"] == 0
    kept = first or not setup.config.acceptance or loss <= state["best"]
    trace = [*state["trace"][:-1], _with_round(state, loss, kept)]
    if not kept:
        return {"kept": False, "draft_profile": state["profile"], "draft_semantics": state["semantics"], "trace": trace}
    written = evidence(setup, state, loss) if first else memos(state, loss)
    runtime.context.memory.remember(written)
    return {
        "memos": [*state["memos"], *written],
        "kept": True,
        "best": loss,
        "judged": fresh,
        "profile": state["draft_profile"],
        "semantics": state["draft_semantics"],
        "trace": trace,
    }


async def reflect_profile(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The user path: the sets that were judged wrongly and the truth make a new profile and a lesson."""
    step = state["steps"][state["step"]]
    shown = [described(item, state["facts"], state["semantics"]) for item in step["candidates"]]
    wrong = misjudged(state["judged"], step["positive"], len(shown))
    sets = [
        {"options": {str(rank): shown[p] for rank, p in enumerate(s.ranking, 1)}, "reason": s.reason} for s in wrong
    ]
    above = wrongly_above(state["judged"], step["positive"], len(shown))
    chosen = shown[step["positive"]]
    reply = await ask(
        runtime.context,
        prompts.load("setwise/reflect_profile", setup.wording).render(
            profile=state["profile"], sets=sets, chosen=chosen, words=setup.config.profile_words
        ),
        Reflection,
        facts=Facts(
            "revise_profile",
            {
                "profile": state["profile"],
                "chosen": chosen,
                "rejected": [shown[p] for p in above],
                "words": setup.config.profile_words,
            },
        ),
        sampling=setup.sampling,
        draw=state["round"],
        agent=NAME,
    )
    return {"draft_profile": capped(reply.profile, setup.config.profile_words), "lesson": reply.lesson}


async def reflect_items(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The item path: the chosen item and every item ranked above it get new semantics, true to their facts."""
    step = state["steps"][state["step"]]
    positions = [step["positive"], *wrongly_above(state["judged"], step["positive"], len(step["candidates"]))]
    names = handles_for(len(positions))
    items = {h: step["candidates"][p] for h, p in zip(names, positions, strict=True)}
    shown = {
        h: {"facts": state["facts"][item], "text": described(item, state["facts"], state["semantics"])}
        for h, item in items.items()
    }
    reply = await ask(
        runtime.context,
        prompts.load("setwise/reflect_items", setup.wording).render(
            profile=state["profile"], items=shown, chosen=names[0], words=setup.config.semantics_words
        ),
        descriptions(names),
        facts=Facts(
            "revise_items",
            {"profile": state["profile"], "items": shown, "chosen": names[0], "words": setup.config.semantics_words},
        ),
        sampling=setup.sampling,
        draw=state["round"],
        agent=NAME,
    )
    rewritten = {item: capped(getattr(reply, h), setup.config.semantics_words) for h, item in items.items()}
    return {"draft_semantics": {**state["semantics"], **rewritten}}


async def conclude(state: State) -> State:
    """What the record keeps."""
    return {
        "payload": {
            "user": state["user"],
            "first_profile": state["first_profile"],
            "profile": state["profile"],
            "semantics": {str(item): text for item, text in sorted(state["semantics"].items())},
            "memos": [asdict(memo) for memo in state["memos"] if memo.kind in RECALLED],
            "steps": state["trace"],
        }
    }


# --- edges ------------------------------------------------------------------------------------------------------------


def next_step(
    setup: Setup, state: State
) -> Sequence[Literal["reflect_profile", "reflect_items", "begin_step", "conclude"]]:
    """Reflect while there is a mismatch and a round left; after a rejected rewrite only if another draw can differ."""
    may_differ = state["kept"] or setup.sampling.temperature > 0
    if setup.config.paths and state["best"] > setup.config.tau and state["round"] < setup.config.rounds and may_differ:
        return [_REFLECT[path] for path in setup.config.paths]
    return ["begin_step" if state["step"] + 1 < len(state["steps"]) else "conclude"]


def first_step(state: State) -> Literal["begin_step", "conclude"]:
    """Nothing is walked through where the settings ask for a first profile alone."""
    return "begin_step" if state["steps"] else "conclude"


_REFLECT: dict[str, Literal["reflect_profile", "reflect_items"]] = {"user": "reflect_profile", "item": "reflect_items"}


def machine(setup: Setup) -> CompiledStateGraph[State, Tools, State, State]:
    """The compiled graph; a user's whole walk is one invocation."""
    graph = StateGraph(State, context_schema=Tools)
    graph.add_node("introduce", partial(introduce, setup))
    graph.add_node("begin_step", partial(begin_step, setup))
    graph.add_node("assess", partial(assess, setup))
    graph.add_node("validate", partial(validate, setup))
    graph.add_node("reflect_profile", partial(reflect_profile, setup))
    graph.add_node("reflect_items", partial(reflect_items, setup))
    graph.add_node("conclude", conclude)
    graph.add_edge(START, "introduce")
    graph.add_conditional_edges("introduce", first_step, ["begin_step", "conclude"])
    graph.add_edge("begin_step", "assess")
    graph.add_edge("assess", "validate")
    graph.add_conditional_edges(
        "validate",
        partial(next_step, setup),
        ["reflect_profile", "reflect_items", "begin_step", "conclude"],
    )
    graph.add_edge("reflect_profile", "assess")
    graph.add_edge("reflect_items", "assess")
    graph.add_edge("conclude", END)
    # LangGraph stops a graph after 25 node rounds unless told otherwise; this one's length is known.
    longest = 4 + setup.config.walk * (3 + 3 * setup.config.rounds)
    return graph.compile().with_config(recursion_limit=longest)


# --- what nodes share -------------------------------------------------------------------------------------------------


async def judge(setup: Setup, tools: Tools, profile: str, notes: Sequence[str], shown: Sequence[str]) -> list[Judged]:
    """The candidates `shown`, set by set, judged by the person of this profile; one call a set, side by side."""

    async def one(positions: tuple[int, ...]) -> Judged:
        names = handles_for(len(positions))
        options = {h: shown[p] for h, p in zip(names, positions, strict=True)}
        reply: Any = await ask(
            tools,
            prompts.load("setwise/assess", setup.wording).render(profile=profile, notes=notes, options=options),
            ranking_reply(names),
            facts=Facts("rank", {"query": profile, "notes": notes, "options": options}),
            sampling=setup.sampling,
            agent=NAME,
        )
        ranked = [(entry.item, entry.score) for entry in reply.ranking]
        return order_of(dict(zip(names, positions, strict=True)), ranked, reply.reason)

    sets = windows(len(shown), setup.config.set_size, setup.config.stride)
    # All calls end before one's error is raised: a record's counts must not depend on which call failed first.
    outcomes = await asyncio.gather(*(one(positions) for positions in sets), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Judged)]


def described(item: int, facts: dict[int, str], semantics: dict[int, str]) -> str:
    """An item as it is shown: its facts, and what was written about it since."""
    return f"{facts[item]} | {semantics[item]}" if item in semantics else facts[item]


def evidence(setup: Setup, state: State, loss: float) -> list[Memo]:
    """A choice that was foreseen is remembered too, lightly: no reflection will speak of it."""
    if loss > setup.config.tau:
        return []
    step, owner = state["steps"][state["step"]], f"user:{state['user']}"
    chosen = state["facts"][step["candidates"][step["positive"]]]
    return [Memo(owner, "evidence", f"chose {chosen}", 0, state["step"], FORESEEN, owner)]


def memos(state: State, loss: float) -> list[Memo]:
    """What an accepted rewrite leaves in memory: the profile's version, its lesson, the evidence, the semantics."""
    owner = f"user:{state['user']}"
    step = state["steps"][state["step"]]
    chosen = step["candidates"][step["positive"]]
    above = wrongly_above(state["judged"], step["positive"], len(step["candidates"]))
    rejected = "; ".join(state["facts"][step["candidates"][p]] for p in above[:3])
    weight = round(0.5 + 0.5 * (state["best"] - loss), 6)

    def memo(of: str, kind: Kind, text: str) -> Memo:
        return Memo(of, kind, text, state["round"], state["step"], weight, owner)

    found = [memo(owner, "evidence", f"chose {state['facts'][chosen]} rather than {rejected}")]
    if state["draft_profile"] != state["profile"]:
        found.append(memo(owner, "profile", state["draft_profile"]))
    if state["lesson"]:
        found.append(memo(owner, "reflection", state["lesson"]))
    for item, text in state["draft_semantics"].items():
        if state["semantics"].get(item) != text:
            found.append(memo(f"item:{item}", "semantics", text))
    return found


def capped(text: str, words: int) -> str:
    """The first `words` words; a model that writes more is cut, as the prompt announced."""
    found = text.split()
    return text.strip() if len(found) <= words else " ".join(found[:words])


def _with_round(state: State, loss: float, kept: bool) -> dict[str, Any]:
    step, fresh = state["trace"][-1], state["fresh"]
    merged = merge(fresh, len(step["candidates"]))
    round_ = {
        "mismatch": round(loss, 6),
        "logistic": round(logistic_mismatch(merged, step["positive"]), 6),
        "kept": kept,
        "order": list(merged.order),
        "scores": [round(score, 6) for score in merged.scores],
        "sets": [{"ranking": list(s.ranking), "scores": list(s.scores), "reason": s.reason} for s in fresh],
    }
    if state["round"]:
        before = state["semantics"]
        round_["profile"] = state["draft_profile"] if state["draft_profile"] != state["profile"] else None
        round_["lesson"] = state["lesson"]
        round_["semantics"] = {str(i): t for i, t in state["draft_semantics"].items() if before.get(i) != t}
    return {**step, "rounds": [*step["rounds"], round_]}
