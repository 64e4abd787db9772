"""The set-wise user agent: its tasks, its graph, and the fold of its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from langgraph.graph.state import CompiledStateGraph

from ...errors import DataError
from ...recsys.data import Dataset
from ..agent import LazyState, Records, Task, Tools, longest_history
from ..catalogue import NO_TEXTS, has_text, item_texts
from ..chat.types import Sampling
from ..fusion import plain
from ..memory.memory import Embedder
from ..payloads import catalogue_digest
from .config import Setwise, SetwiseSetup
from .fold import Fold, fold
from .judgement import NAME
from .machine import machine
from .state import SetwiseState, WalkStep


@dataclass(frozen=True)
class SetwiseAgent:
    """Walks each user through the last train interactions, one candidate list an interaction.

    A task is a user; its key is `user:<user_id>`. Items without text are passed over, and users with fewer than two
    train interactions with others are not asked about.
    """

    config: Setwise = Setwise()
    fold_config: Fold = Fold()
    embed: Embedder | None = None
    """Needed by `fold` when it makes vectors."""
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    name: ClassVar[str] = NAME

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """One task a user, in order of user code; candidates are drawn with rng [seed, user, step]."""
        texts, worded = item_texts(data), has_text(data)
        popular = np.argsort(-data.item_counts, kind="stable")
        popular = popular[(data.item_counts[popular] > 0) & worded[popular]]
        catalogue = catalogue_digest(data)
        ids = data.users["user_id"]
        for user in self._users(data, worded):
            make = partial(self._state, data, user, texts, popular, catalogue, worded)
            yield Task(f"user:{plain(ids.iat[user])}", LazyState(make))

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """Weights, pairs and vectors, as `fold_config` says. Raises ValueError for vectors without an embedder."""
        return fold(data, records, self.fold_config, self.embed, item_texts(data))

    def no_tasks_reason(self, data: Dataset) -> str:
        if not has_text(data).any():
            return NO_TEXTS
        return f"no user has 2 train interactions; {longest_history(data)}"

    @cached_property
    def _machine(self) -> CompiledStateGraph[SetwiseState, Tools, SetwiseState, SetwiseState]:
        return machine(SetwiseSetup(self.config, self.sampling, self.wording, self.seed))

    def _state(
        self,
        data: Dataset,
        user: int,
        texts: Mapping[int, str],
        popular: npt.NDArray[np.int64],
        catalogue: str,
        worded: npt.NDArray[np.bool_],
    ) -> SetwiseState:
        history = [int(item) for item in data.history(user) if worded[item]]
        ident = plain(data.users["user_id"].iat[user])
        walked = min(self.config.walk, len(history) - 1)
        seed_history = history[: len(history) - walked][-self.config.seed_items :]
        steps = [
            self._step(user, ident, history, position, popular)
            for position in range(len(history) - walked, len(history))
        ]
        items = {*seed_history, *(item for step in steps for item in (*step["candidates"], *step["held_back"]))}
        return {
            "user": user,
            "user_id": ident,
            "catalogue": catalogue,
            "seed_history": seed_history,
            "steps": steps,
            "facts": {item: texts[item] for item in sorted(items)},
        }

    def _users(self, data: Dataset, worded: npt.NDArray[np.bool_]) -> list[int]:
        able = np.flatnonzero(np.bincount(data.user[worded[data.item]], minlength=data.n_users) >= 2)
        if self.config.users is not None and self.config.users < len(able):
            able = np.sort(np.random.default_rng([self.seed, 0]).choice(able, self.config.users, replace=False))
        return [int(user) for user in able]

    def _step(
        self, user: int, ident: int | str, history: list[int], position: int, popular: npt.NDArray[np.int64]
    ) -> WalkStep:
        """The true next item and others that the user never took on the train side, shuffled; and more, held back."""
        rng = np.random.default_rng([self.seed, user, position])
        positive = history[position]
        others = negatives(positive, history, popular, self.config.candidates - 1, self.config.negatives, rng)
        if len(others) < self.config.candidates - 1:
            raise DataError(
                f"user {ident!r}: only {len(others)} items that the user never took are in the train side, a list of "
                f"{self.config.candidates} needs {self.config.candidates - 1}; set fewer candidates"
            )
        candidates = rng.permutation([positive, *others])
        held_back: list[int] = []
        if self.config.acceptance and self.config.rounds:
            count = self.config.held_back * max(1, self.config.set_size - 1)
            seen = [*history, *others]
            held_back = negatives(positive, seen, popular, count, self.config.negatives, rng)
        return {
            "positive": int(np.flatnonzero(candidates == positive)[0]),
            "candidates": [int(c) for c in candidates],
            "held_back": held_back,
        }


def negatives(
    positive: int, seen: list[int], popular: np.ndarray, count: int, kind: str, rng: np.random.Generator
) -> list[int]:
    """`count` items outside `seen`: `uniform` over all that anybody took, or `popularity`: near the positive's rank.

    popular: item codes, most popular first, only those with train interactions. Popularity-matched draws come from the
    5 x count unseen items nearest in rank. Fewer come back where the catalogue is that small.
    """
    open_ = popular[~np.isin(popular, [*seen, positive])]
    if kind == "popularity":
        rank = {int(item): place for place, item in enumerate(popular)}
        distance = np.abs(np.array([rank[int(item)] for item in open_]) - rank[positive])
        open_ = open_[np.argsort(distance, kind="stable")[: 5 * count]]
    return [int(item) for item in rng.choice(open_, min(count, len(open_)), replace=False)]
