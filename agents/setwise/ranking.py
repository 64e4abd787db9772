"""The set-wise agent put to the test: the same partition and merge on lists it has never walked through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ...recsys.data import Dataset
from ..agent import Records, Task, Tools
from ..catalogue import item_texts
from ..chat.types import Sampling
from ..memory.memory import Memo
from .config import Setwise
from .machine import RECALLED, Setup, described, judge
from .partition import merge


@dataclass(frozen=True, slots=True)
class Question:
    """One list to rank for one user, by what the agent knows of that user. The truth is not in here."""

    user: int
    candidates: Sequence[int]
    profile: str
    semantics: Mapping[int, str] = field(default_factory=dict)
    memos: Sequence[Memo] = ()
    """What was remembered of the user; the notes are recalled from it."""


class State(TypedDict, total=False):
    user: int
    candidates: list[int]
    profile: str
    shown: list[str]
    memos: list[Memo]
    payload: dict[str, Any]


async def rank(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """Assess every set, merge, and name the items in order."""
    memory, k = runtime.context.memory, setup.config.notes
    notes: list[str] = []
    if state["memos"] and k:
        memory.remember(state["memos"])
        now = max(memo.step for memo in state["memos"])
        recalled = memory.recall(state["memos"][0].owner, " ".join(state["shown"]), k, now=now, kinds=RECALLED)
        notes = [memo.text for memo in recalled]
    sets = await judge(setup, runtime.context, state["profile"], notes, state["shown"])
    merged = merge(sets, len(state["shown"]))
    return {
        "payload": {
            "user": state["user"],
            "order": [state["candidates"][position] for position in merged.order],
            "scores": [round(merged.scores[position], 6) for position in merged.order],
        }
    }


@dataclass(frozen=True)
class SetwiseRanking:
    """Ranks given lists with given profiles; it changes no data."""

    questions: Sequence[Question]
    config: Setwise = Setwise()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    name: ClassVar[str] = "setwise-ranking"

    def tasks(self, data: Dataset) -> Iterator[Task]:
        texts = item_texts(data)
        for question in self.questions:
            shown = [described(item, texts, dict(question.semantics)) for item in question.candidates]
            state: State = {
                "user": question.user,
                "candidates": list(question.candidates),
                "profile": question.profile,
                "shown": shown,
                "memos": list(question.memos),
            }
            yield Task(f"user:{data.users['user_id'].iat[question.user]}", state)

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        return data

    @cached_property
    def _machine(self) -> CompiledStateGraph[State, Tools, State, State]:
        graph = StateGraph(State, context_schema=Tools)
        graph.add_node("rank", partial(rank, Setup(self.config, self.sampling, self.wording)))
        graph.add_edge(START, "rank")
        graph.add_edge("rank", END)
        return graph.compile()
