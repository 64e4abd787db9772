"""The pair scorer agent: its tasks, its graph, and the fold of its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from langgraph.graph.state import CompiledStateGraph

from ...recsys.data import Dataset
from ..agent import LazyState, Records, Task, Tools
from ..catalogue import NO_TEXTS, has_text, item_texts
from ..chat.types import Sampling
from ..fusion import plain
from ..payloads import catalogue_digest
from .candidates import covered
from .config import ScorePairs
from .machine import NAME, PairScorerSetup, PairScorerState, machine
from .table import fold, report


@dataclass(frozen=True)
class PairScorer:
    """Scores the candidates of each covered user, given the last train interactions. Task keys are `user:<user_id>`."""

    config: ScorePairs = ScorePairs()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that override the shipped ones."""
    seed: int = 0
    name: ClassVar[str] = NAME

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """One task per covered user, in order of user code."""
        texts, catalogue, worded = item_texts(data), catalogue_digest(data), has_text(data)
        ids = data.users["user_id"].tolist()
        for user, items in covered(data, self.config.coverage, self.seed).items():
            state = partial(self._state, data, user, items, texts, catalogue, worded)
            yield Task(f"user:{ids[user]}", LazyState(state))

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """The data with the scores, for guided models, and with preference pairs, for models that accept only pairs."""
        return fold(data, records, self.config)

    def report(self, data: Dataset, records: Records) -> dict[str, Any]:
        """Numbers of pairs and draws, and the agreement of draws."""
        return report(records)

    def no_tasks_reason(self, data: Dataset) -> str:
        if not has_text(data).any():
            return NO_TEXTS
        return "no covered user has 2 items to score that are not in the history"

    @cached_property
    def _machine(self) -> CompiledStateGraph[PairScorerState, Tools, PairScorerState, PairScorerState]:
        return machine(PairScorerSetup(self.config, self.sampling, self.wording, self.seed))

    def _state(
        self,
        data: Dataset,
        user: int,
        items: list[int],
        texts: Mapping[int, str],
        catalogue: str,
        worded: npt.NDArray[np.bool_],
    ) -> PairScorerState:
        history = [int(item) for item in data.history(user) if worded[item]][-self.config.history :]
        shuffled = np.random.default_rng([self.seed, 4, user]).permutation(items)
        count = -(-len(items) // self.config.list_size)
        lists = [[int(item) for item in part] for part in np.array_split(shuffled, count)]
        facts = {item: texts[item] for item in sorted({*history, *items})}
        ident = plain(data.users["user_id"].iat[user])
        return {
            "user": user,
            "user_id": ident,
            "catalogue": catalogue,
            "history": history,
            "lists": lists,
            "facts": facts,
        }
