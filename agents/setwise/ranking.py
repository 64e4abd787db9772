"""Ranking of given lists with given profiles, by the same partition and merge as the walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from ...recsys.data import Dataset
from ..agent import Records, Task, Tools
from ..catalogue import item_texts
from ..chat.types import Sampling
from ..memory.memory import Memo
from .config import Setwise, SetwiseSetup
from .judgement import item_text, judge, merge, partitions
from .state import RECALLED


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """One list to rank for one user, by what the agent knows of that user. The truth is not in here."""

    user: int
    candidates: Sequence[int]
    claims: Sequence[str]
    """The profile, strongest first."""
    semantics: Mapping[int, str] = field(default_factory=dict)
    memos: Sequence[Memo] = ()
    """What was remembered of the user; the notes are recalled from it."""


class RankingState(TypedDict, total=False):
    user: int
    candidates: list[int]
    claims: list[str]
    texts: list[str]
    memos: list[Memo]
    payload: dict[str, Any]


async def rank(setup: SetwiseSetup, state: RankingState, runtime: Runtime[Tools]) -> RankingState:
    """Assess every set, merge, and name the items in order."""
    config = setup.config
    memory, k = runtime.context.memory, config.notes
    notes: list[str] = []
    if state["memos"] and k:
        memory.remember(state["memos"])
        now = max(memo.step for memo in state["memos"])
        owner, about = state["memos"][0].owner, " ".join(state["texts"])
        recalled = memory.recall(owner, about, k, now=now, kinds=RECALLED, weights=config.recall)
        notes = [memo.text for memo in recalled]
    rng = np.random.default_rng([setup.seed, state["user"]]) if config.dealings > 1 else None
    dealing = partitions(len(state["texts"]), config.set_size, config.stride, config.dealings, rng)
    sets = await judge(setup, runtime.context, state["claims"], notes, state["texts"], dealing)
    merged = merge(sets, len(state["texts"]), config.merge)
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

    questions: Sequence[RankingQuery]
    config: Setwise = Setwise()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    seed: int = 0
    name: ClassVar[str] = "setwise-ranking"

    def tasks(self, data: Dataset) -> Iterator[Task]:
        texts = item_texts(data)
        for question in self.questions:
            shown_texts = [item_text(item, texts, dict(question.semantics)) for item in question.candidates]
            state: RankingState = {
                "user": question.user,
                "candidates": list(question.candidates),
                "claims": list(question.claims),
                "texts": shown_texts,
                "memos": list(question.memos),
            }
            yield Task(f"user:{data.users['user_id'].iat[question.user]}", state)

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        return data

    @cached_property
    def _machine(self) -> CompiledStateGraph[RankingState, Tools, RankingState, RankingState]:
        graph = StateGraph(RankingState, context_schema=Tools)
        graph.add_node("rank", partial(rank, SetwiseSetup(self.config, self.sampling, self.wording, self.seed)))
        graph.add_edge(START, "rank")
        graph.add_edge("rank", END)
        return graph.compile()
