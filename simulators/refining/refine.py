"""`refine`: a log in, a refined log of the same form out, with a run folder beside it.

The log is cut into blocks of whole users, so that its size does not matter; what concerns all users (popularity,
neighbours, calibration, quotas) is decided over all blocks. Neither the number of blocks nor a kill in between changes
a byte of what comes out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...atomic import disk_errors, make_folder, write_text
from ...errors import RunError
from ...identity import digest, settings_of
from ...notebook import html_of_facts
from ...recsys.data import DataConfig
from ...recsys.data.log_file import LogFile
from ..batch.event_loop import run_async
from ..batch.lock import locked
from ..batch.progress import Silent, Watcher
from ..batch.summary import Summary
from ..batch.usage import usage
from ..studies.agent_runner import open_runner
from ..studies.report import defined
from ..studies.study import Study
from .blocks import cut
from .catalogue import catalogue_of, log_of
from .config import RefineConfig, read_config
from .output_check import check_form, check_replaceable, run_folder
from .parts import Parts
from .refined_log import write_refined
from .source_copy import change_since, check_unchanged, copy_source
from .steps import Refining, Stopped, whole_log

CONFIG, SUMMARY = "refine.json", "summary.json"


@dataclass(frozen=True, slots=True)
class Refined:
    """What `refine` gives. `rows` counts: read, written, and by what became of them."""

    out: str
    folder: str
    llm: str
    rows: Mapping[str, int]
    reports: Mapping[str, Mapping[str, Any]]
    """Step -> what its agent reports."""
    summaries: Mapping[str, Summary]
    """Step -> its records and what was paid for them."""
    stopped: str = ""
    """Why there is no refined log yet; empty where there is."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What the reader of the refined log must know, a sentence each."""

    @property
    def complete(self) -> bool:
        """The log is written, and every task has a record that is not a failure."""
        return not self.stopped and all(summary.complete for summary in self.summaries.values())

    def _repr_html_(self) -> str:
        parts = {"rows": self.rows, **self.reports, "warnings": ", ".join(self.warnings), "stopped": self.stopped}
        facts = {"refined log": self.out, "run folder": self.folder, "answered by": self.llm, **parts}
        return html_of_facts({name: value for name, value in facts.items() if value})

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined figures are null."""
        return {
            "out": self.out,
            "folder": self.folder,
            "llm": self.llm,
            "offline_is_no_llm": self.llm.startswith("offline"),
            "rows": dict(self.rows),
            "reports": defined(dict(self.reports)),
            "steps": {name: summary.as_json() for name, summary in self.summaries.items()},
            "usage": {agent: vars_of(spent) for agent, spent in self.usage.items()},
            "complete": self.complete,
            "stopped": self.stopped,
            "warnings": list(self.warnings),
        }


def refine(
    source: Path | str,
    out: Path | str,
    config: RefineConfig | Mapping[str, Any] | Path | str | None = None,
    *,
    steps: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    retry_failed: bool = False,
    overwrite: bool = False,
    progress: Watcher | None = None,
) -> Refined:
    """Refine the log `source` into `out`, which has its form; resumes what is there.

    config: a RefineConfig, the path of its YAML file, or None for the defaults, on which `settings` (`llm.model=...`)
    are made. steps: which of its steps, in order. Records, the cache of replies, what changed (`changes.parquet`,
    `pairs.parquet`) and `summary.json` land in the folder `<out>.run`, whose blocks may be deleted when all is done.

    `out` and its run folder are replaced only if they are of this very refinement, or with `overwrite`; the copies of
    logs that `undo` restores stay in any case.

    A spent budget or a refused key ends the run with `Refined.stopped`; the same call resumes. Raises ConfigError,
    DataError and RunError for what the caller has to mend.
    """
    source, out = Path(source), Path(out)
    settled = read_config(config, steps, settings)
    log = log_of(source, settled.data)
    check_form(log, source, out)
    check_replaceable(source, out, overwrite=overwrite)
    folder = run_folder(out)
    make_folder(folder)
    with locked(folder / "refine.lock"), disk_errors(folder):
        write_text(folder / CONFIG, settled.model_dump_json(indent=2) + "\n")
        replace = partial(check_replaceable, source, out, overwrite=overwrite)
        try:
            done = run_async(_refined(log, out, folder, settled, retry_failed, replace, progress or Silent()))
        except MemoryError as full:
            raise RunError(
                f"{source} in parts of {settled.block_mb:g} MB does not fit in memory ({full}); choose a smaller "
                "block_mb, or fewer sample_rows, and run it again"
            ) from full
        write_text(folder / SUMMARY, json.dumps(done.as_json(), indent=2) + "\n")
    return done


async def _refined(
    log: LogFile,
    out: Path,
    folder: Path,
    config: RefineConfig,
    retry_failed: bool,
    check_output: Callable[[], None],
    watch: Watcher,
) -> Refined:
    size = log.file.path.stat().st_size
    copy = copy_source(log.file.path, folder)
    about = {
        "log": copy.sha256,
        # What is known of items is joined on later: the catalogue's own fingerprint stands for it.
        "data": settings_of(config.data, without={"items", "item_columns", "duplicate_ids"}),
        "block_mb": config.block_mb,
    }
    watch.say(f"reading {log.file}")
    blocks = cut(log, folder / f"blocks-{digest(about)}", config.block_mb, about)
    check_unchanged(log.file.path, copy)
    unseen = any(settings.get("unseen") for entry in config.steps for settings in entry.values())
    parts = Parts(log, blocks, catalogue_of(log, blocks, config.data, unseen=unseen))
    study = _study(folder, config)
    stopped = ""
    async with open_runner(study, parts.catalogue, watch, retry_failed=retry_failed) as opened:
        refining = Refining(parts, config, folder, opened, whole_log(parts, config.sample_rows, config.seed))
        try:
            for place, entry in enumerate(config.steps):
                [(name, settings)] = entry.items()
                await refining.step(place, name, settings)
        except Stopped as stop:
            stopped = str(stop)
    llm = f"{config.llm.provider} {config.llm.model or ''}".strip()
    paid = usage(study.folder)
    done = partial(
        Refined, str(out), str(folder), llm, summaries=refining.summaries, reports=refining.reports, usage=paid
    )
    if stopped:
        return done(rows={"read": 0}, stopped=stopped, warnings=tuple(refining.warnings))
    check_output()
    rows = write_refined(refining, out, copy)
    warnings = filter(None, [*refining.warnings, change_since(log.file.path, copy, size)])
    return done(rows=rows, warnings=tuple(warnings))


def vars_of(spent: Any) -> dict[str, Any]:
    """The fields of a frozen slotted dataclass."""
    return {name: getattr(spent, name) for name in spent.__dataclass_fields__}


def _study(folder: Path, config: RefineConfig) -> Study:
    """What the agent runner needs of a study."""
    return Study(
        name="asked",
        data=DataConfig(),
        llm=config.llm,
        embedder=config.embedder,
        prompts=config.prompts,
        seed=config.seed,
        out=folder,
    )
