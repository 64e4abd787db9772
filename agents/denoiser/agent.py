"""The denoiser agent: its tasks, its graph, and the fold of its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from langgraph.graph.state import CompiledStateGraph

from ...errors import ConfigError, DataError
from ...recsys.data import Dataset
from ...recsys.denoising.hard_samples import Candidates, Losses, candidates, losses_by_epoch
from ..agent import LazyState, Records, Task, Tools, longest_history
from ..blockwise import BlockTasks, WholeLog
from ..catalogue import NO_TEXTS, has_text, item_texts
from ..chat.likelihood import Likelihood
from ..chat.types import Sampling
from ..fusion import Bools, is_generated, plain
from ..memory.memory import Embedder
from ..payloads import catalogue_digest
from ..user_sample import sample_users, users_with_ids
from .config import Denoise
from .doubts import NAME, DenoiserSetup
from .evidence import CollaborativeEvidence
from .fold import fold, reasons_of, report
from .machine import DenoiserState, machine


@dataclass(frozen=True)
class Denoiser:
    """Reviews users' sequences for items that do not belong. Keys: `user:<user_id>`. Generated rows are ignored."""

    config: Denoise = Denoise()
    embed: Embedder | None = None
    """Of item texts: likeness of two items; without it, likeness is co-occurrence alone."""
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    likelihood: Likelihood | None = None
    """Mode likelihood: the model that scores titles."""
    evidence: CollaborativeEvidence | None = None
    """Counted over a sample of the whole log, where `tasks` is given a part of it."""
    losses: Losses | None = None
    """hard_samples: (epochs, n) of the rows that `tasks` is given; else LightGCN is trained on them."""
    only: frozenset[int | str] | None = None
    """Ids of the users to review, where the caller has sampled them."""
    name: ClassVar[str] = NAME

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """One task a user with enough items that have a text, in order of user code; in hard_samples one with a row in
        doubt.
        """
        shared = _Shared(self, data)
        real = np.bincount(data.user[~shared.generated & shared.worded[data.item]], minlength=data.n_users)
        eligible = np.flatnonzero(real >= self.config.least)
        if self.only is not None:
            chosen = users_with_ids(data, eligible, self.only)
        else:
            chosen = sample_users(data, eligible, self.config.users, self.seed)
        if not chosen:
            return
        ids = data.users["user_id"]
        suspects = self._suspects(data) if self.config.mode == "hard_samples" else None
        for user in chosen:
            rows = np.arange(data.indptr[user], data.indptr[user + 1])
            if suspects is not None and not (suspects.candidate[rows] & shared.worded[data.item[rows]]).any():
                continue
            yield Task(
                f"user:{plain(ids.iat[user])}", LazyState(partial(self._state, data, int(user), shared, suspects))
            )

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self._machine

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """The data without, with others for, or with less weight on, the rows that were edited."""
        return fold(data, records, self.config)

    def report(self, data: Dataset, records: Records) -> dict[str, Any]:
        """How many rows were judged, doubted, spared by which guard, edited and rolled back."""
        return report(records)

    def no_tasks_reason(self, data: Dataset) -> str:
        if not has_text(data).any():
            return NO_TEXTS
        if int(data.user_counts.max(initial=0)) < self.config.least:
            return f"no user has {self.config.least} items (denoise.least); {longest_history(data)}"
        return "none of the users asked about has a row in doubt"

    def sample_tasks(self, log: WholeLog) -> None:
        """All tasks are of single users."""
        return

    def block_tasks(self, log: WholeLog, sample_records: Records | None) -> BlockTasks:
        """Users are reviewed block by block, beside evidence counted over the sample."""
        config = self.config
        if config.mode == "hard_samples" and log.blocks > 1:
            raise ConfigError(
                "denoise.mode: hard_samples watches a training on the whole log, which is cut into "
                f"{log.blocks} parts; raise block_mb or choose mode review"
            )
        users = None if config.users is None else log.sample_users(config.users, config.least)
        agent = replace(self, evidence=CollaborativeEvidence.of(log.sample, config.vote.shrink), only=users)
        return BlockTasks(agent, agent.fold, lambda data, records, folded: report(records), reasons=reasons_of)

    @cached_property
    def _machine(self) -> CompiledStateGraph[DenoiserState, Tools, DenoiserState, DenoiserState]:
        return machine(DenoiserSetup(self.config, self.sampling, self.wording, likelihood=self.likelihood))

    @cached_property
    def _watched(self) -> dict[str, Losses]:
        """Training losses by fingerprint of the data."""
        return {}

    def _suspects(self, data: Dataset) -> Candidates:
        hard = self.config.hard
        losses = self.losses
        if losses is None:
            # A run lists its tasks twice (to count them, then to run them): train once.
            if data.fingerprint not in self._watched:
                self._watched[data.fingerprint] = losses_by_epoch(data, hard.epochs, seed=self.seed)
            losses = self._watched[data.fingerprint]
        if losses.shape[1] != len(data):
            raise DataError(f"losses of {losses.shape[1]} rows for data of {len(data)}; give those of the same rows")
        return candidates(losses, hard.high, hard.vary, hard.last)

    def _state(self, data: Dataset, user: int, shared: _Shared, suspects: Candidates | None) -> DenoiserState:
        config = self.config
        ident = plain(data.users["user_id"].iat[user])
        rows = np.arange(data.indptr[user], data.indptr[user + 1])
        rows = rows[~shared.generated[rows]]
        items = data.item[rows].astype(np.int64)
        evidence, worded = shared.evidence, shared.worded[items]
        places = np.flatnonzero(worded)
        windows = [
            part.tolist() for part in np.array_split(places, max(1, -(-len(places) // config.window))) if len(part)
        ]
        near = evidence.near(ident, items)
        if self.embed is not None:
            vectors = self.embed([shared.texts[int(item)] for item in items])
            alike = np.asarray(vectors @ vectors.T, np.float64)
            np.fill_diagonal(alike, 0)
            alike[~worded], alike[:, ~worded] = 0, 0
            near = np.maximum(near, alike)
        votes: list[float | None] = [None] * len(items)
        offers: dict[int, list[int]] = {}
        for window in windows:
            for place, vote in zip(window, evidence.votes(ident, items[window], config.guards.cold), strict=True):
                votes[place] = None if vote is None else round(vote, 6)
            if config.action == "replace":
                for place in window:
                    context = items[[at for at in window if at != place]]
                    candidates = evidence.candidates(ident, context, items.tolist(), config.candidates)
                    offers[place] = [item for item in candidates if shared.worded[item]]
        items_of_task = {*items.tolist(), *(item for offered in offers.values() for item in offered)}
        state = DenoiserState(
            user=ident,
            catalogue=shared.catalogue,
            items=items.tolist(),
            weights=[float(weight) for weight in data.weight[rows]],
            windows=windows,
            facts={item: shared.texts[item] for item in sorted(items_of_task)},
            votes=votes,
            near=near.round(6).tolist(),
            offers=offers,
        )
        if suspects is not None:
            state["suspects"] = np.flatnonzero(suspects.candidate[rows] & worded).tolist()
            state["often"] = np.flatnonzero(suspects.flagged[rows] >= config.hard.flagged_epochs).tolist()
        return state


class _Shared:
    """Texts and evidence of all tasks, made on first use: a resume of finished tasks makes neither."""

    def __init__(self, agent: Denoiser, data: Dataset) -> None:
        self._agent, self._data = agent, data

    @cached_property
    def generated(self) -> Bools:
        return is_generated(self._data)

    @cached_property
    def worded(self) -> Bools:
        """(n_items,) whether the item has a text."""
        return has_text(self._data)

    @cached_property
    def catalogue(self) -> str:
        return catalogue_digest(self._data)

    @cached_property
    def texts(self) -> Mapping[int, str]:
        texts = item_texts(self._data)
        if self._agent.config.question == "review":
            return texts
        # A tuned model has been trained on titles alone.
        titles = self._data.items["title"].tolist()
        return {code: titles[code] or text for code, text in texts.items()}

    @cached_property
    def evidence(self) -> CollaborativeEvidence:
        if self._agent.evidence is not None:
            return self._agent.evidence
        return CollaborativeEvidence.of(self._data.rows(~self.generated), self._agent.config.vote.shrink)
