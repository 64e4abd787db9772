"""`run`: ratings in, agents, refined data, retrained recommenders, a verdict out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from ...agents.agent import Reporting
from ...agents.catalogue import has_text, item_texts
from ...agents.memory.embeddings import embedder
from ...atomic import disk_errors, make_folder, write_text
from ...identity import code_digest, settings_of
from ...recsys.data import Dataset, Split
from ...recsys.data.dataset import Floats
from ...recsys.data.sources import load_split
from ...recsys.data.truth import check_truth, planted_noise
from ...recsys.evaluation import compare
from ..batch.event_loop import run_async
from ..batch.lock import locked
from ..batch.progress import Silent, Watcher
from ..batch.records import read_records
from ..batch.summary import Summary
from ..batch.usage import usage
from .agent_runner import open_runner
from .grid import COMPARISON, Grid, TrainingProtocol, cells_of, models_of, train_all
from .report import Verdict, defined, html, markdown
from .run_folder import CELLS, PAGE, REPORT, STUDY, TABLE
from .study import AnyStudy, Study, study_of
from .variants import FACTS, ORACLE, balance_of, removal_accuracy, size_of, variants, with_facts, writes_vectors

TOLD = "report.json"
"""In a step's folder: what its agent reports of the records."""


def run(
    study: AnyStudy,
    settings: Sequence[str] = (),
    *,
    retry_failed: bool = False,
    retry_invalid: bool = False,
    limit: int | None = None,
    jobs: int = 1,
    progress: Watcher | None = None,
) -> Verdict:
    """Answer a study: its agents' tasks, the fold, the trainings, the comparison; resumes what is there.

    study: a Study, its keys and values as a dict, or the path of its YAML file; on the last two, `settings`
    (`train.epochs=3`) are made first. Everything lands in `study.folder`: `agents/` (records by step), `values/` (per
    user), `report.md`, `table.csv`, `study.yaml`. A second run repeats nothing that is finished. `retry_failed` and
    `retry_invalid` ask such tasks again. `limit` asks only the first so many tasks of each step: a run to look at, not
    a verdict. `jobs` trainings run at a time, each in a process of its own with `train.threads` threads; the
    numbers are the same for any.

    A spent budget or a refused key ends the run before training: `Verdict.stopped` says why and the same call resumes.
    Raises ConfigError, DataError and RunError for what the caller has to mend.
    """
    study = study_of(study, settings)
    watch = progress if progress is not None else Silent()
    study.train.check()
    split = load_split(study.data)
    study.train.check(split.train)
    if ORACLE in study.evaluate.controls and study.steps:
        check_truth(study.data)
    folder = study.folder
    make_folder(folder)
    with locked(folder / "study.lock"):
        with disk_errors(folder):
            write_text(folder / STUDY, study_text(study))
        return _answer(study, split, watch, retry_failed, retry_invalid, limit, jobs)


def _answer(
    study: Study,
    split: Split,
    watch: Watcher,
    retry_failed: bool,
    retry_invalid: bool,
    limit: int | None,
    jobs: int,
) -> Verdict:
    folder = study.folder
    reports: dict[str, dict[str, Any]] = {}
    if study.steps and FACTS in study.evaluate.controls and not has_text(split.train).any():
        watch.say(f"WARNING {FACTS}: left out: no item has a title, categories or a description to make vectors of")
    refined, summaries, stopped = run_async(
        _ask(study, split.train, watch, reports, retry_failed=retry_failed, retry_invalid=retry_invalid, limit=limit)
    )
    facts, llm = _facts(split), f"{study.llm.provider} {study.llm.model or ''}".strip()
    metric = "ndcg@10" if "ndcg@10" in study.evaluate.metrics else study.evaluate.metrics[0]
    if stopped or (refined is None and study.steps):
        nothing = pd.DataFrame(columns=["metric", "variant", "against", "group", "model"])
        none = pd.DataFrame()
        return Verdict(
            study.name, str(folder), llm, facts, {}, summaries, nothing, none, metric, stopped, usage(folder)
        )
    controls = with_facts(study.evaluate.controls, split.train, refined)
    facts_vectors = _facts_vectors(study, controls, split.train, refined)
    # Only here, after the agents: neither their tasks nor the fold may depend on what is planted.
    noise = planted_noise(study.data, split.train) if refined is not None and ORACLE in controls else None
    chosen = variants(split.train, refined, controls, study.seed, facts_vectors, noise)
    cells = list(cells_of(models_of(study.train), chosen, study.train.seeds))
    grid = train_all(cells, TrainingProtocol.of(study, split), folder / "values", watch.say, jobs=jobs)
    table = compare(
        grid.values,
        controls=[name for name in controls if name != ORACLE],
        bounds=[name for name in controls if name == ORACLE],
        seed=study.seed,
        draws=study.evaluate.draws,
        resample_seeds=study.evaluate.seeds == "drawn",
    )
    verdict = Verdict(
        study.name,
        str(folder),
        llm,
        facts,
        size_of(split.train, refined) if refined is not None else {},
        summaries,
        table,
        grid.cells,
        metric,
        usage=usage(folder),
        reports=reports,
        balance=balance_of(split.train, chosen, study.train.seeds[0]) if refined is not None else pd.DataFrame(),
        seeds=study.evaluate.seeds,
        truth={} if noise is None or refined is None else removal_accuracy(split.train, refined, noise),
    )
    write_text(folder / CELLS, json.dumps(_comparable(study, split, grid, limit), indent=2) + "\n")
    table.to_csv(folder / TABLE, index=False, float_format="%.6f")
    write_text(folder / REPORT, markdown(verdict, study_text(study)))
    write_text(folder / PAGE, html(verdict, study_text(study)))
    return verdict


def _comparable(study: Study, split: Split, grid: Grid, limit: int | None) -> dict[str, Any]:
    """What another run must have in common for `compare`, and the files of values of this run's trainings.

    The folder of values may also hold those of earlier settings, so files are never collected by their names.
    """
    cells = grid.cells[["model", "variant", "seed", "hyperparameters", "file"]].to_dict("records")
    return {
        "data": {
            "train": split.train.fingerprint,
            "validation": split.valid.fingerprint,
            "test": split.test.fingerprint,
        },
        "evaluate": settings_of(study.evaluate, without=COMPARISON),
        "code": code_digest("recsys"),
        "limit": limit,
        "cells": cells,
    }


def study_text(study: Study) -> str:
    """The study as YAML, without where it was written and without defaults that were not touched."""
    return yaml.safe_dump(
        study.model_dump(mode="json", exclude_defaults=True, exclude={"out"}), sort_keys=False, allow_unicode=True
    )


async def _ask(
    study: Study, train: Dataset, watch: Watcher, reports: dict[str, dict[str, Any]], **options: Any
) -> tuple[Dataset | None, dict[str, Summary], str]:
    """The refined train side (None where no agent ran to its end), what each step asked, and why it stopped.

    What agents report of their records goes into `reports`, by the name of the step's folder. options: those of
    `open_runner`.
    """
    if not study.steps:
        return None, {}, ""
    data = train
    async with open_runner(study, train, watch, **options) as opened:
        for place, entry in enumerate(study.steps):
            [(name, settings)] = entry.items()
            agent, folder = await opened.step(name, settings, data, study.folder / "agents" / str(place))
            summary = opened.totals[folder.name]
            # Without one usable record, the vectors and defaults of a fold would be nothing that an agent has learnt.
            if summary.stopped or (summary.tasks and not summary.ok):
                return (
                    None,
                    opened.totals,
                    summary.stopped or f"no usable reply in step {folder.name}: {summary.unusable}",
                )
            records = read_records(folder)
            if isinstance(agent, Reporting):
                reports[folder.name] = defined(agent.report(data, records))
                write_text(folder / TOLD, json.dumps(reports[folder.name], indent=2) + "\n")
            data = agent.fold(data, records)
    return data, opened.totals, ""


def _facts_vectors(study: Study, controls: Sequence[str], train: Dataset, refined: Dataset | None) -> Floats | None:
    """(n_items, d) vectors of the catalogue's own texts, where `facts_only` is trained and there are texts."""
    if FACTS not in controls or refined is None or not writes_vectors(train, refined):
        return None
    if not has_text(train).any():
        return None
    texts = list(item_texts(train).values())
    return embedder(study.embedder, texts)(texts)


def _facts(split: Split) -> dict[str, Any]:
    train = split.train
    return {
        "dataset": train.name,
        "users": train.n_users,
        "items": train.n_items,
        "train interactions": len(train),
        "validation interactions": len(split.valid),
        "test interactions": len(split.test),
        "train fingerprint": train.fingerprint,
    }
