"""The generator agent: its tasks, its graph, and the fold of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from langgraph.graph.state import CompiledStateGraph

from ...recsys.data import Dataset
from ...recsys.data.dataset import Longs
from ...recsys.data.groups import head_of
from ..agent import LazyState, Records, Task, Tools, longest_history
from ..blockwise import BlockTasks, WholeLog
from ..catalogue import NO_TEXTS, has_text, item_texts
from ..chat.types import Sampling
from ..fusion import fused, plain, real_rows
from ..grounding import Grounder
from ..memory.memory import Embedder
from ..payloads import catalogue_digest, has_valid
from ..user_sample import sample_users, users_with_ids
from .audience import Audience
from .config import Generate
from .evidence import ItemEvidence, evidence_of, recent_of, stable_seed
from .fold import block_report, fold, report, total_report
from .machine import NAME, Candidate, GeneratorSetup, GeneratorState, machine


@dataclass(frozen=True)
class Generator:
    """Asks for interactions that the long tail lacks. A task's key is `user:<user_id>` or `item:<item_id>`."""

    config: Generate = Generate()
    embed: Embedder | None = None
    """Of the catalogue's texts: for plausibility by content, and as the last way to ground a title."""
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    evidence: ItemEvidence | None = None
    """Of a whole log, where `tasks` is given a part of it; else it is read from the data."""
    only: frozenset[int | str] | None = None
    """Ids of the users to ask about, where the caller has sampled them."""
    name: ClassVar[str] = NAME

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """One task a user in order of user code; for cold_item one a tail item, the least known first."""
        known = _once(lambda: self._known(data))
        catalogue = _once(lambda: catalogue_digest(data))
        if self.config.mode == "cold_item":
            ids = data.items["item_id"].tolist()
            audience = _once(lambda: Audience.of(data, known()[0], self.config))
            for item in self._targets(data):
                yield Task(
                    f"item:{ids[item]}", LazyState(partial(self._item_state, data, item, known, audience, catalogue))
                )
            return
        titles, worded = _once(lambda: self._titles(data, known()[0])), _once(lambda: has_text(data))
        for user in self._users(data):
            ident = plain(data.users["user_id"].iat[user])
            yield Task(
                f"user:{ident}", LazyState(partial(self._user_state, data, user, known, titles, catalogue, worded))
            )

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """The data with generated rows, within `fuse`, or with preference pairs."""
        if not has_valid(records, NAME):
            return data
        return fused(self.adopted(data, records), self.config.fuse)

    def adopted(self, data: Dataset, records: Records) -> Dataset:
        """The data with every generated row, whatever quota and share allow; rows of users not in it are left out."""
        return fold(data, records)

    def report(self, data: Dataset, records: Records) -> dict[str, Any]:
        """What was proposed, how it was grounded, and what was dropped, in counts."""
        return report(data, records, self._tail(data))

    def no_tasks_reason(self, data: Dataset) -> str:
        if not has_text(data).any():
            return NO_TEXTS
        if self.config.mode == "cold_item":
            return "no item of the long tail has a train interaction (generate.unseen lets others be targets)"
        return (
            f"no user has {self.config.min_history} interactions (generate.min_history) "
            f"and an item left that they have not had; {longest_history(data)}"
        )

    def sample_tasks(self, log: WholeLog) -> Generator | None:
        """cold_item asks about items of the whole log, other modes about users."""
        return replace(self, evidence=self._log_evidence(log)) if self.config.mode == "cold_item" else None

    def block_tasks(self, log: WholeLog, sample_records: Records | None) -> BlockTasks:
        """Tasks about users are done block by block; the records about items serve every block."""
        config, tail = self.config, ~head_of(log.counts, self.config.head)
        agent = None
        if config.mode != "cold_item":
            users = None if config.users is None else log.sample_users(config.users, config.min_history)
            agent = replace(self, evidence=self._log_evidence(log), only=users)
        return BlockTasks(
            agent,
            self.adopted,
            partial(block_report, tail),
            config.fuse,
            partial(total_report, tail, shared=agent is None),
        )

    @cached_property
    def _machine(self) -> CompiledStateGraph[GeneratorState, Tools, GeneratorState, GeneratorState]:
        return machine(GeneratorSetup(self.config, self.sampling, self.wording))

    def _known(self, data: Dataset) -> tuple[ItemEvidence, dict[int, str]]:
        texts = item_texts(data)
        if self.evidence is not None:
            return self.evidence, texts
        if self.embed is None:
            raise ValueError("the generator compares the items' texts: give it an embedder")
        real = real_rows(data)
        return evidence_of(real, self.embed, texts, self.config.head, unseen=self.config.unseen), texts

    def _log_evidence(self, log: WholeLog) -> ItemEvidence:
        if self.embed is None:
            raise ValueError("the generator compares the items' texts: give it an embedder")
        texts, config = item_texts(log.sample), self.config
        return evidence_of(log.sample, self.embed, texts, config.head, unseen=config.unseen, counts=log.counts)

    def _counts(self, data: Dataset) -> Longs:
        if self.evidence is not None:
            return self.evidence.counts
        return data.item_counts if "origin" not in data.interactions else real_rows(data).item_counts

    def _tail(self, data: Dataset) -> npt.NDArray[np.bool_]:
        return ~head_of(self._counts(data), self.config.head)

    def _targets(self, data: Dataset) -> list[int]:
        counts = self._counts(data)
        open_ = self._tail(data) if self.config.unseen else self._tail(data) & (counts > 0)
        items = np.flatnonzero(open_ & has_text(data))
        return [int(item) for item in items[np.argsort(counts[items], kind="stable")][: self.config.items]]

    def _users(self, data: Dataset) -> list[int]:
        real, worded = real_rows(data), has_text(data)
        lengths = np.bincount(real.user[worded[real.item]], minlength=data.n_users)
        able = (lengths >= self.config.min_history) & self._has_candidates(data, worded)
        eligible = np.flatnonzero(able)
        if self.only is not None:
            return users_with_ids(data, eligible, self.only)
        return sample_users(data, eligible, self.config.users, self.seed)

    def _has_candidates(self, data: Dataset, worded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(n_users,) whether there is an item with a text, for pairs two, that the user has not had."""
        least = 2 if self.config.mode == "pairs" else 1
        known = int((worded if self.config.unseen else worded & (self._counts(data) > 0)).sum())
        if known - int(data.user_counts.max(initial=0)) >= least:
            return np.ones(data.n_users, bool)
        rows = worded[data.item]
        held = np.unique(data.user[rows].astype(np.int64) * data.n_items + data.item[rows]) // max(data.n_items, 1)
        return np.asarray(known - np.bincount(held, minlength=data.n_users) >= least)

    def _titles(self, data: Dataset, evidence: ItemEvidence) -> Grounder:
        titles = data.items["title"]
        open_ = {item: str(titles.iat[item]) for item in np.flatnonzero(evidence.known).tolist() if titles.iat[item]}
        return Grounder(open_, self.config.grounding, self.embed)

    def _user_state(
        self,
        data: Dataset,
        user: int,
        known: Callable[[], tuple[ItemEvidence, dict[int, str]]],
        titles: Callable[[], Grounder],
        catalogue: Callable[[], str],
        worded: Callable[[], npt.NDArray[np.bool_]],
    ) -> GeneratorState:
        (evidence, texts), config = known(), self.config
        ident = plain(data.users["user_id"].iat[user])
        recent = recent_of(data, user, config.history, worded())
        seen = np.unique(data.history(user))
        state: GeneratorState = {
            "user": ident,
            "catalogue": catalogue(),
            "draw": stable_seed(f"{self.seed}:{ident}"),
            "recent": recent.tolist(),
            "seen": seen.tolist(),
        }
        if config.free:
            tail = np.flatnonzero(evidence.tail & evidence.known)
            facts = {int(item): texts[int(item)] for item in recent}
            return {**state, "pool": [], "tail": tail.tolist(), "grounder": titles(), "facts": facts}
        pool = pool_of(evidence, recent, seen, config)
        items_of_task = {*recent.tolist(), *(one["item"] for one in pool)}
        return {**state, "pool": pool, "facts": {item: texts[item] for item in sorted(items_of_task)}}

    def _item_state(
        self,
        data: Dataset,
        item: int,
        known: Callable[[], tuple[ItemEvidence, dict[int, str]]],
        audience: Callable[[], Audience],
        catalogue: Callable[[], str],
    ) -> GeneratorState:
        texts = known()[1]
        people = audience().likeliest(item, self.config.slate_size)
        items_of_task = {item, *(i for person in people for i in person["recent"])}
        return {
            "item": item,
            "catalogue": catalogue(),
            "people": people,
            "facts": {i: texts[i] for i in sorted(items_of_task)},
        }


def pool_of(
    evidence: ItemEvidence, recent: npt.NDArray[np.integer], seen: npt.NDArray[np.integer], config: Generate
) -> list[Candidate]:
    """The most plausible items that the user has not had: `pool` of the tail, then as many of the head.

    pairs: the first `slate_size` of the base model, an ItemKNN by cosine. Equally plausible items in order of need.
    """
    open_ = evidence.known.copy()
    open_[seen] = False
    if config.mode == "pairs":
        fit = evidence.by_neighbours(recent)
        groups = [(open_, config.slate_size)]
    else:
        fit = evidence.fit(recent, config.content)
        groups = [(open_ & evidence.tail, config.pool), (open_ & ~evidence.tail, config.pool)]
    pool: list[Candidate] = []
    for mask, size in groups:
        items = np.flatnonzero(mask)
        if size < len(items):
            # Sorting what lies below the border would be most of a task's time on a catalogue of 17,000.
            border = np.partition(fit[items], len(items) - size)[len(items) - size]
            items = items[fit[items] >= border]
        order = np.lexsort((items, -evidence.need[items], -fit[items]))[:size]
        pool += [Candidate(item=int(i), fit=round(float(fit[i]), 6), tail=bool(evidence.tail[i])) for i in items[order]]
    return pool


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """`make` with its result kept: it is called once, on first use."""
    made: list[Any] = []

    def get() -> Any:
        if not made:
            made.append(make())
        return made[0]

    return get
