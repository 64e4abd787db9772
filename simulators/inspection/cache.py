"""`cache stats`, `explain`, `export`, `import` and `prune`: what the cache of replies holds, and its way into a file.

A cache is `replies.sqlite` in the folder that run folders are made in; a path ending in .sqlite names the file itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...agents.agent import Agent, Task, Tools
from ...agents.catalogue import item_texts
from ...agents.chat.build import asked_of
from ...agents.chat.question import key_of, parts_of
from ...agents.chat.replies import Replies
from ...agents.chat.types import Reply, Request
from ...agents.memory.embeddings import embedder
from ...agents.memory.list_memory import ListMemory
from ...atomic import check_output, disk_errors
from ...errors import ConfigError, DataError, ReplayMiss
from ...recsys.data import Dataset
from ...recsys.data.sources import load_split
from ..batch.event_loop import run_async
from ..batch.records import read_records
from ..studies.step_identity import folder_of
from ..studies.step_tools import CACHE
from ..studies.steps import AgentContext, make_agent
from ..studies.study import AnyStudy, Study, study_of

DAY = 86_400.0


def cache_stats(out: Path | str = "runs") -> dict[str, Any]:
    """Entries, bytes, entries by model, completion tokens, dollars when they were made, oldest and newest (UTC)."""
    with _opened(out) as replies:
        stats = asdict(replies.stats())
    return {"path": str(_file(out)), **stats, "oldest": _date(stats["oldest"]), "newest": _date(stats["newest"])}


def cache_explain(
    study: AnyStudy, task: str | None = None, settings: Sequence[str] = (), *, step: int = 0
) -> dict[str, Any]:
    """Why a task would call the model: the first of its questions that the cache does not hold, and what differs.

    The task (`user:17`; None: the first one) of the study's `step` is walked through by the replies there are; no model
    is called. Gives step, task, `found` (replies that were there), `missing` (the prompt of the question that was not,
    empty where all were there) and `differs`: where it parts from the nearest entry, one line a part of the key.
    Raises ConfigError for an unknown task, DataError where an earlier step, whose records it rests on, is not finished.
    """
    study = study_of(study, settings)
    if not 0 <= step < len(study.steps):
        raise ConfigError(f"step {step}: the study has {len(study.steps)} step(s), counted from 0")
    train = load_split(study.data).train
    texts = list(item_texts(train).values())
    around = AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts)
    agent, data = _before(study, train, around, step)
    chosen = next((one for one in agent.tasks(data) if task in (None, one.key)), None)
    if chosen is None:
        raise ConfigError(f"step {step} has no task {task!r}; a task is named such as user:17, by the data's own id")
    with _opened(study.out) as replies:
        walked = _Walked(replies, *asked_of(study.llm, texts))
        run_async(_walk(agent, chosen, walked, ListMemory(around.embed)))
    [(name, _)] = study.steps[step].items()
    return {
        "step": f"{step}-{name}",
        "task": chosen.key,
        "found": walked.hits,
        "missing": walked.missing,
        "differs": walked.differs,
    }


def cache_export(
    out: Path | str, file: Path | str, *, model: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Write a replay file: `llm: {provider: replay, replay: file}` then answers as the model did, without network.

    What was never answered validly (a refusal, an invalid reply) is not in it. `model`: only questions asked of this
    one, by the name in the study; a replay of a file that holds several needs llm.model. Raises ConfigError for a file
    that exists, without `overwrite`.
    """
    check_output(Path(file), overwrite=overwrite)
    with _opened(out) as replies, disk_errors(Path(file)):
        return {"written": str(file), "entries": replies.export(Path(file), model=model)}


def cache_import(out: Path | str, file: Path | str) -> dict[str, Any]:
    """Take the entries of a replay file into the cache; those that are there already stay as they are."""
    with Replies(_file(out)) as replies:
        return {"path": str(_file(out)), "new": replies.import_(Path(file))}


def cache_prune(
    out: Path | str = "runs", *, older_than_days: float | None = None, model: str | None = None, yes: bool = False
) -> dict[str, Any]:
    """Delete the replies older than so many days and of this model (as `cache_stats` names it), where given.

    Gives `matching` of `entries`, and `deleted`: 0 without `yes`, which is a dry run. Raises ConfigError where neither
    is given, and for a negative number of days.
    """
    if older_than_days is None and model is None:
        raise ConfigError("prune needs older_than_days or model; to forget everything, delete the cache's file")
    if older_than_days is not None and not older_than_days >= 0:
        raise ConfigError(f"older_than_days is {older_than_days:g}; write 0 or more days (0: every reply)")
    before = None if older_than_days is None else time.time() - older_than_days * DAY
    with _opened(out) as replies:
        entries, matching = replies.count(), replies.count(older_than=before, model=model)
        deleted = replies.prune(older_than=before, model=model) if yes else 0
        return {"path": str(_file(out)), "entries": entries, "matching": matching, "deleted": deleted}


class _Walked:
    """A Chat of the cache alone: counts what it holds, explains the first question that it does not."""

    def __init__(self, replies: Replies, endpoint: str, model: str) -> None:
        self._replies, self._endpoint, self._model = replies, endpoint, model
        self.hits = 0
        self.missing = ""
        self.differs: list[str] = []

    async def __call__(self, request: Request) -> Reply:
        reply = self._replies.get(key_of(request, endpoint=self._endpoint, model=self._model))
        if reply is not None:
            self.hits += 1
            return reply
        if not self.missing:
            self.missing = request.prompt or "a question without a prompt"
            self.differs = self._replies.explain(parts_of(request, endpoint=self._endpoint, model=self._model))
        raise ReplayMiss(f"the cache holds no reply to {self.missing}")


async def _walk(agent: Agent, task: Task, walked: _Walked, memory: ListMemory) -> None:
    try:
        await agent.graph().ainvoke(dict(task.state), context=Tools(walked, memory))
    except ReplayMiss:
        return


def _before(study: Study, train: Dataset, around: AgentContext, step: int) -> tuple[Agent, Dataset]:
    """The step's agent, and the data as the steps before it have folded it."""
    data = train
    for place, entry in enumerate(study.steps):
        [(name, settings)] = entry.items()
        agent = make_agent(name, settings, around)
        if place == step:
            break
        folder = folder_of(study, name, settings, data, study.folder / "agents" / str(place))
        records = read_records(folder)
        if records.empty:
            raise DataError(f"step {step} rests on step {place}, which has no records in {folder}: run the study first")
        data = agent.fold(data, records)
    return agent, data


def _opened(out: Path | str) -> Replies:
    path = _file(out)
    if not path.is_file():
        raise DataError(f"{path}: no cache of replies there; name the folder of run folders, or the file, with --out")
    return Replies(path)


def _file(out: Path | str) -> Path:
    return Path(out) if Path(out).suffix == ".sqlite" else Path(out) / CACHE


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
