"""`FidelityBench`: a study's data and model, opened: how the loop, the plain question and the references are asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import prompts
from ...agents.agent import Agent, Records
from ...agents.catalogue import item_texts
from ...agents.chat.handles import handles_for, ranking_reply
from ...agents.chat.types import Facts
from ...agents.setwise import Setwise, SetwiseRanking
from ...identity import digest, settings_of
from ...recsys.data import Split
from ..batch.records import read_records
from ..studies.agent_runner import AgentRunner
from ..studies.fidelity_config import FidelityConfig
from ..studies.held_out_lists import HeldOutList, ranking_queries
from ..studies.step_identity import identity_of, model_of
from ..studies.steps import make_agent
from ..studies.study import Study
from .cases import Case, Field
from .plain import Plain, PlainRequest
from .references import References
from .rows import LOOP, ONCE, Answers, CutOff, Only, fitting

Doubles = npt.NDArray[np.float64]


@dataclass
class FidelityBench:
    """A study's data and model, opened, with the methods by which protocols obtain answers."""

    study: Study
    config: FidelityConfig
    split: Split
    opened: AgentRunner
    name: str = "own"
    """Name of the data variant (own, titles hidden ...), which separates their run folders."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the study's own set-wise settings."""
    walks: dict[frozenset[str], Records] = field(default_factory=dict)
    walked: dict[frozenset[str], tuple[float, float]] = field(default_factory=dict)
    """Calls and tokens a user of the walks."""

    @cached_property
    def field(self) -> Field:
        return Field.of(self.split)

    @cached_property
    def references(self) -> References:
        return References(self.split.train, self.field.known, self.study.train.threads)

    @cached_property
    def texts(self) -> dict[int, str]:
        return item_texts(self.field.known)

    @property
    def folder(self) -> Path:
        return self.study.folder / "fidelity"

    @property
    def walk_cost(self) -> tuple[float, float]:
        """Calls and tokens a user of the last walk; zeros before any."""
        return list(self.walked.values())[-1] if self.walked else (0.0, 0.0)

    @property
    def settings(self) -> dict[str, Any]:
        """The study's own set-wise settings, or the defaults, with the changes made."""
        own: dict[str, Any] = next((step["setwise"] for step in self.study.steps if "setwise" in step), {})
        return {**{key: value for key, value in own.items() if key not in ("users", "fold")}, **self.changes}

    def users(self, held: int, count: int | None = None) -> list[int]:
        """Codes of the users judged where `held` items must be held out."""
        wanted = self.config.users if count is None else min(count, self.config.users)
        return self.field.chosen(wanted, held, self.config.min_history, self.study.seed)

    def on(self, split: Split, name: str) -> FidelityBench:
        """The same bench on other data."""
        return replace(self, split=split, name=name, walks={}, walked={})

    def changed(self, **changes: Any) -> FidelityBench:
        """The same bench with other set-wise settings; itself where there are none."""
        if not changes:
            return self
        return replace(self, changes=changes, walks={}, walked={})

    def reference_answers(self, cases: Sequence[Case]) -> list[Answers]:
        by_reference = self.references.scores(cases)
        return [Answers(name, "reference", scores, scores) for name, scores in by_reference.items()]

    async def agents(self, variant: str, cases: Sequence[Case], prompt: str = "fidelity/rank") -> list[Answers]:
        """The plain question and, unless switched off, the loop."""
        rows = [await self.once(variant, cases, prompt)]
        if self.config.loop:
            rows.append(await self.loop(variant, cases))
        return rows

    async def once(self, variant: str, cases: Sequence[Case], prompt: str = "fidelity/rank") -> Answers:
        """The model's answers to one prompt per list, which shows the last items of the history."""
        requests = [self.question(case, prompt) for case in cases]
        records, calls, tokens = await self.ask_plain(variant, requests)
        scores: list[Doubles | None] = []
        order: list[Doubles | None] = []
        for case in cases:
            payload = records.get(self.key(case.user))
            if payload is None:
                scores.append(None)
                order.append(None)
                continue
            handles = handles_for(len(case.candidates))
            graded = {entry["item"]: entry["score"] for entry in payload["ranking"]}
            place = {entry["item"]: rank for rank, entry in enumerate(payload["ranking"])}
            scores.append(np.array([graded[h] for h in handles]))
            order.append(np.array([-float(place[h]) for h in handles]))
        return Answers(ONCE, "plain", scores, order, calls, tokens)

    async def ask_plain(
        self, variant: str, requests: Sequence[PlainRequest]
    ) -> tuple[dict[str, dict[str, Any]], float, float]:
        """Key -> payload of the usable replies; calls and tokens a question."""
        agent = Plain(requests, self.opened.around.sampling, self.study.prompts)
        names = sorted({question.prompt for question in requests})
        run = {
            "config": {"variant": variant, "shown": digest([question.values for question in requests])},
            "prompts": [f"{n}@{d}" for n, d in prompts.digests(*names, folder=self.study.prompts).items()],
            "llm": model_of(self.study),
            "embedder": settings_of(self.study.embedder),
        }
        return await self._records(agent, f"{self.name}-{variant}-plain-{digest(run)}", run)

    async def loop(self, variant: str, cases: Sequence[Case]) -> Answers:
        """The set-wise agent's answers: it builds profiles from these users' known histories, then ranks the lists."""
        users = [case.user for case in cases]
        walk = await self.walk(users)
        config = fitting(Setwise.model_validate(self.settings), cases)
        lists = [HeldOutList(case.user, case.candidates, -1) for case in cases]
        queries = ranking_queries(lists, walk, "final")
        agent = SetwiseRanking(queries, config, self.opened.around.sampling, self.study.prompts, self.study.seed)
        run = identity_of(self.study, "setwise", self.settings, self.field.known)["run"]
        run = {**run, "config": {**run["config"], "shown": digest([[q.candidates, q.claims] for q in queries])}}
        records, calls, tokens = await self._records(agent, f"{self.name}-{variant}-loop-{digest(run)}", run)
        scores: list[Doubles | None] = []
        order: list[Doubles | None] = []
        for case in cases:
            payload = records.get(self.key(case.user))
            if payload is None:
                scores.append(None)
                order.append(None)
                continue
            graded = dict(zip(payload["order"], payload["scores"], strict=True))
            place = {item: rank for rank, item in enumerate(payload["order"])}
            scores.append(np.array([graded[item] for item in case.candidates]))
            order.append(np.array([-float(place[item]) for item in case.candidates]))
        return Answers(LOOP, "loop", scores, order, calls, tokens)

    async def walk(self, users: Sequence[int]) -> Records:
        """The records of these users' walks through what is known; a user who has walked is not walked again."""
        keys = frozenset(self.key(user) for user in users)
        made = next((before for before in self.walks if keys <= before), None)
        if made is None:
            made = keys
            agent = Only(make_agent("setwise", self.settings, self.opened.around), keys)
            run = identity_of(self.study, "setwise", self.settings, self.field.known)["run"]
            # A folder for each group of users: a record's place in the order of tasks is its name on disk.
            named = digest([run, self.field.known.fingerprint, sorted(keys)])
            folder = self.folder / "asked" / f"{self.name}-walk-{named}"
            summary = await self.opened.ask(agent, self.field.known, folder, run, keep_memory=False)
            if summary.stopped:
                raise CutOff(summary.stopped)
            self.walks[keys] = read_records(folder)
            means = self.walks[keys][["calls", "prompt_tokens", "completion_tokens"]].mean()
            self.walked[keys] = (float(means.iloc[0]), float(means.iloc[1] + means.iloc[2]))
        records = self.walks[made]
        return records[records["key"].isin(keys)]

    def key(self, user: int) -> str:
        return f"user:{self.field.known.users['user_id'].iat[user]}"

    def shown_history(self, user: int) -> list[str]:
        """The last items of a user's known history as text, oldest first, with ratings where there are any."""
        known = self.field.known
        rows = slice(max(known.indptr[user], known.indptr[user + 1] - self.config.history), known.indptr[user + 1])
        rated = self.rated
        return [
            f"{self.texts[int(item)]} | rated {value:g}" if rated else self.texts[int(item)]
            for item, value in zip(known.item[rows], known.value[rows], strict=True)
        ]

    @cached_property
    def rated(self) -> bool:
        """Whether the data has ratings that differ."""
        return bool(np.unique(self.field.known.value).size > 1)

    def question(self, case: Case, prompt: str) -> PlainRequest:
        """The whole list in one question, beside the last items of the history."""
        handles = handles_for(len(case.candidates))
        options = {h: self.texts[item] for h, item in zip(handles, case.candidates, strict=True)}
        history = self.shown_history(case.user)
        facts = Facts("rank", {"query": "\n".join(history), "notes": [], "options": options})
        return PlainRequest(
            self.key(case.user), prompt, {"history": history, "options": options}, ranking_reply(handles), facts
        )

    async def _records(
        self, agent: Agent, name: str, run: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, Any]], float, float]:
        folder = self.folder / "asked" / name.replace(" ", "_").replace(":", "to").replace("/", "-")
        summary = await self.opened.ask(agent, self.field.known, folder, run, keep_memory=False)
        if summary.stopped:
            raise CutOff(summary.stopped)
        records = read_records(folder)
        ok = records[records["status"] == "ok"]
        payloads = {key: json.loads(payload) for key, payload in zip(ok["key"], ok["payload"], strict=True)}
        tasks = max(1, summary.tasks)
        return payloads, summary.calls / tasks, (summary.prompt_tokens + summary.completion_tokens) / tasks
