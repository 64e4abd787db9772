"""The discriminator agent: its tasks, its graph, its calibration, and the fold of its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from langgraph.graph.state import CompiledStateGraph

from ...errors import ConfigError
from ...recsys.data import Dataset
from ...recsys.data.dataset import Longs
from ...recsys.data.groups import head_of
from ..agent import LazyState, Records, Task, Tools, longest_history
from ..blockwise import BlockTasks, WholeLog, sum_figures
from ..catalogue import NO_TEXTS, has_text, item_texts
from ..chat.types import Sampling
from ..fusion import fused, is_generated, plain
from ..generator.evidence import stable_seed
from ..payloads import catalogue_digest
from ..user_sample import sample_users, users_with_ids
from .calibration import Bools, Calibration, calibration_of
from .config import Discriminate
from .fold import fold, report
from .machine import NAME, DiscriminatorSetup, DiscriminatorState, Role, RowSet, RowToJudge, machine


@dataclass(frozen=True)
class Discriminator:
    """Judges real and generated rows of every user. Keys: `calibrate:<user_id>`, then `user:<user_id>`."""

    config: Discriminate = Discriminate()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    part: Literal["all", "calibrate", "judge"] = "all"
    """Which of its tasks, where a log is judged in parts."""
    counts: Longs | None = None
    """(n_items,) interactions in the whole log, where `tasks` is given a part of it."""
    only: frozenset[int | str] | None = None
    """Ids of the users whose real rows are judged, where the caller has sampled them."""
    calibration: Calibration | None = None
    """Where it was made of other records than `fold` is given."""
    name: ClassVar[str] = NAME

    def __post_init__(self) -> None:
        if self.config.confidence == "votes" and self.sampling.temperature == 0:
            raise ConfigError(
                "discriminate.confidence: votes at temperature 0 are all the same vote; set llm.temperature above 0"
            )

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """Calibration first, then one task a user with rows to judge, in order of user code."""
        texts = _Texts(data)
        generated = is_generated(data)
        worded = texts.worded[data.item]
        real = np.bincount(data.user[~generated & worded], minlength=data.n_users)
        ids = data.users["user_id"]
        counts = self._counts(data)
        if self.part != "judge":
            eligible = np.flatnonzero(real > self.config.calibration_rows)
            for user in sample_users(data, eligible, self.config.calibration_users, self.seed):
                make = partial(self._calibration_state, data, user, texts, counts, generated)
                yield Task(f"calibrate:{plain(ids.iat[user])}", LazyState(make))
        if self.part == "calibrate":
            return
        made = np.bincount(data.user[generated & worded], minlength=data.n_users)
        wanted = np.zeros(data.n_users, bool)
        if "real" in self.config.judge:
            wanted[self._users(data, np.flatnonzero(real >= 2))] = True
        open_ = wanted | ((made > 0) & (real >= 1) if "generated" in self.config.judge else False)
        for user in np.flatnonzero(open_).tolist():
            make = partial(self._judge_state, data, user, texts, generated, real=bool(wanted[user]))
            yield Task(f"user:{plain(ids.iat[user])}", LazyState(make))

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """The data without the generated rows that do not convince, real noise down-weighted, within `fuse`."""
        adopted = self.adopted(data, records)
        return data if adopted is data else fused(adopted, self.config.fuse)

    def adopted(self, data: Dataset, records: Records) -> Dataset:
        """The same, whatever quota and share allow."""
        return fold(data, records, self._calibration(records), self.config)

    def report(self, data: Dataset, records: Records) -> dict[str, Any]:
        """AUC, calibration error, cut, and acceptance by head and tail and by origin."""
        head = head_of(self._counts(data), self.config.head)
        return report(data, records, self._calibration(records), self.config, head)

    def no_tasks_reason(self, data: Dataset) -> str:
        if not has_text(data).any():
            return NO_TEXTS
        return f"no user has 2 real rows, or a generated row beside a real one; {longest_history(data)}"

    def sample_tasks(self, log: WholeLog) -> Discriminator:
        """Calibration is done on the sample, for all blocks."""
        return replace(self, part="calibrate", counts=log.counts)

    def block_tasks(self, log: WholeLog, sample_records: Records | None) -> BlockTasks:
        """Rows are judged block by block, with the calibration of the sample."""
        if sample_records is None:
            raise ValueError("the discriminator's blocks need the records of its calibration")
        calibration = calibration_of(sample_records, self.config)
        users = None if self.config.users is None else log.sample_users(self.config.users, 2)
        agent = replace(self, part="judge", counts=log.counts, calibration=calibration, only=users)

        def block_report(data: Dataset, records: Records, folded: Dataset) -> dict[str, Any]:
            return {name: figures for name, figures in agent.report(data, records).items() if name != "calibration"}

        def total_report(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
            return {"calibration": calibration.report(), **sum_figures(reports)}

        return BlockTasks(agent, agent.adopted, block_report, self.config.fuse, total_report)

    def _counts(self, data: Dataset) -> Longs:
        """(n_items,) real interactions: generated rows are not counted."""
        if self.counts is not None:
            return self.counts
        return np.bincount(data.item[~is_generated(data)], minlength=data.n_items).astype(np.int64)

    def _calibration(self, records: Records) -> Calibration:
        return self.calibration if self.calibration is not None else calibration_of(records, self.config)

    @cached_property
    def _machine(self) -> CompiledStateGraph[DiscriminatorState, Tools, DiscriminatorState, DiscriminatorState]:
        return machine(DiscriminatorSetup(self.config, self.sampling, self.wording))

    def _users(self, data: Dataset, eligible: npt.NDArray[np.int64]) -> list[int]:
        if self.only is not None:
            return users_with_ids(data, eligible, self.only)
        return sample_users(data, eligible, self.config.users, self.seed)

    def _judge_state(
        self, data: Dataset, user: int, texts: _Texts, generated: Bools, *, real: bool
    ) -> DiscriminatorState:
        """A user's rows in sets; the real rows of each set come from all parts of the history."""
        ident = plain(data.users["user_id"].iat[user])
        span = texts.rows_with_text(user)
        own, made = span[~generated[span]], span[generated[span]]
        selected = own[-self.config.real :] if self.config.real else own
        rows = [_row(data, at, "real") for at in selected] if real and len(own) >= 2 else []
        if "generated" in self.config.judge:
            rows += [_row(data, at, "generated") for at in made]
        # A set never holds the whole history: something must be left to judge by.
        sets = max(-(-len(rows) // self.config.set_size), 2 if real and len(selected) == len(own) else 1)
        sets = min(sets, len(rows))
        row_sets = [
            self._row_set(data.item[own], rows[at::sets], stable_seed(f"{self.seed}:{ident}:{at}"))
            for at in range(sets)
        ]
        return self._state(ident, "judge", row_sets, texts)

    def _calibration_state(
        self, data: Dataset, user: int, texts: _Texts, counts: Longs, generated: Bools
    ) -> DiscriminatorState:
        """Real rows that are held out of the history shown, and items that the user never had."""
        ident = plain(data.users["user_id"].iat[user])
        rng = np.random.default_rng(stable_seed(f"{self.seed}:calibrate:{ident}"))
        span = texts.rows_with_text(user)
        own = span[~generated[span]]
        size = self.config.calibration_rows
        held = np.sort(rng.choice(own, size, replace=False))
        open_ = np.flatnonzero((counts > 0) & texts.worded)
        open_ = open_[~np.isin(open_, data.item[span])]
        odds = counts[open_] / counts[open_].sum() if self.config.negatives == "popularity" and len(open_) else None
        others = rng.choice(open_, min(size, len(open_)), replace=False, p=odds)
        rows = [_row(data, at, "real") for at in held]
        rows += [RowToJudge(item=int(item), role="negative", weight=0.0) for item in others]
        sets = max(1, round(len(rows) / self.config.set_size))
        row_sets = [
            self._row_set(
                data.item[np.setdiff1d(own, held)], rows[at::sets], stable_seed(f"{self.seed}:calibrate:{ident}:{at}")
            )
            for at in range(sets)
        ]
        return self._state(ident, "calibrate", row_sets, texts)

    def _row_set(self, history: npt.NDArray[np.int32], rows: Sequence[RowToJudge], seed: int) -> RowSet:
        excluded = {row["item"] for row in rows}
        left = [int(item) for item in history if int(item) not in excluded][-self.config.history :]
        shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
        return RowSet(history=left, rows=shuffled)

    def _state(
        self, ident: int | str, purpose: Literal["judge", "calibrate"], row_sets: list[RowSet], texts: _Texts
    ) -> DiscriminatorState:
        items = {item for one in row_sets for item in one["history"]}
        items |= {row["item"] for one in row_sets for row in one["rows"]}
        facts = {item: texts[item] for item in sorted(items)}
        return {"user": ident, "catalogue": texts.catalogue, "purpose": purpose, "sets": row_sets, "facts": facts}


class _Texts:
    """The items' texts, made when the first is selected for: a resume looks at none."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._made: dict[int, str] | None = None

    @cached_property
    def worded(self) -> Bools:
        """(n_items,) whether the item has a text; rows of the others are not judged, and no row by them."""
        return has_text(self._data)

    def rows_with_text(self, user: int) -> npt.NDArray[np.int64]:
        """The user's rows whose items have a text."""
        rows = np.arange(self._data.indptr[user], self._data.indptr[user + 1])
        return rows[self.worded[self._data.item[rows]]]

    @cached_property
    def catalogue(self) -> str:
        return catalogue_digest(self._data)

    def __getitem__(self, item: int) -> str:
        if self._made is None:
            self._made = item_texts(self._data)
        return self._made[item]


def _row(data: Dataset, at: int, role: Role) -> RowToJudge:
    return RowToJudge(item=int(data.item[at]), role=role, weight=float(data.weight[at]))
