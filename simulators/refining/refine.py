"""`refine`: a log in, a refined log of the same form out, with a run folder beside it.

The log is cut into blocks of whole users, so that its size does not matter; what concerns all users (popularity,
neighbours, calibration, quotas) is settled over all blocks. Neither the number of blocks nor a kill in between changes
a byte of what comes out.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import parquet

from ...atomic import disk_errors, make_folder, write_text, write_whole
from ...errors import RunError
from ...identity import digest, settings_of
from ...recsys.data import DataConfig, Dataset
from ...recsys.data.assemble import assemble
from ...recsys.data.atomic import described as described_atomic
from ...recsys.data.delimited import Format
from ...recsys.data.files import one
from ...recsys.data.streams import Log, logged
from ...recsys.data.tables import described
from ..batch.event_loop import run_async
from ..batch.lock import locked
from ..batch.progress import Silent, Watcher
from ..batch.summary import Summary
from ..batch.usage import usage
from ..studies.agent_runner import open_runner
from ..studies.report import defined
from ..studies.study import Study
from .blocks import Blocks, cut
from .changes import CHANGES, changed_rows, changes, with_removed_rows
from .config import LogConfig, RefineConfig, read_config
from .merge import write_merged
from .output_check import check_form, check_replaceable, run_folder
from .parts import Parts
from .rows import block_rows
from .source_copy import SourceCopy, change_since, check_unchanged, copy_source, note_undo
from .steps import Refining, Stopped, whole_log

CONFIG, SUMMARY, PAIRS = "refine.json", "summary.json", "pairs.parquet"


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


def log_of(source: Path, config: LogConfig) -> Log:
    """How the log is written, as its file and the settings say."""
    return logged(
        source,
        config.columns,
        time=config.time,
        separator=config.separator,
        encoding=config.encoding,
        quoted=config.quoted,
        names=config.header,
    )


async def _refined(
    log: Log,
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
    rows = _write(refining, out, copy)
    warnings = filter(None, [*refining.warnings, change_since(log.file.path, copy, size)])
    return done(rows=rows, warnings=tuple(warnings))


def _write(refining: Refining, out: Path, copy: SourceCopy) -> dict[str, int]:
    """The refined log and the tables of what changed; how many rows of which kind."""
    parts, folder = refining.parts, refining.folder
    rows: dict[str, int] = {"read": 0, "written": 0}
    final = folder / "states" / "written"
    shutil.rmtree(final, ignore_errors=True)
    final.mkdir(parents=True)

    def each_block(path: Path) -> None:
        writer: parquet.ParquetWriter | None = None
        for block in range(parts.blocks.count):
            states = refining.history(block)
            before, data = states[0][1], with_removed_rows(states)
            _count(before, data, rows)
            table = block_rows(parts.log, parts.blocks, block, data, refining.config.provenance)
            parquet.write_table(table, final / f"block-{block:05d}.parquet", row_group_size=50_000)
            edits = changes(before, data, refining.reasons(block))
            writer = writer or parquet.ParquetWriter(path, edits.schema)
            writer.write_table(edits)
        assert writer is not None
        writer.close()

    write_whole(folder / CHANGES, each_block)
    if pairs := _pairs(refining):
        rows["pairs"] = sum(parquet.read_metadata(path).num_rows for path in pairs)
        write_whole(folder / PAIRS, partial(_joined, pairs))
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.partial")
    tables = sorted(final.glob("block-*.parquet"))
    try:
        rows["written"] = write_merged(parts.log, tables, unfinished, refining.config.provenance)
        note_undo(folder, copy, out, unfinished)
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    shutil.rmtree(final)
    return rows


def catalogue_of(log: Log, blocks: Blocks, config: LogConfig, *, unseen: bool) -> Dataset:
    """The items of the log by first appearance, their texts joined on; with `unseen` the others of the table too."""
    ids = blocks.item_ids
    table = None
    source: Any = log.file
    if config.items is not None:
        source = one(config.items)
        if source.name.removesuffix(".gz").endswith(".item"):
            form = Format("\t", config.quoted, config.encoding)
            table = described_atomic(source, "item_id", form, {k: str(v) for k, v in config.item_columns.items()})
        else:
            table = described(source, "item_id", config.item_columns, None, config.encoding)
        if unseen:
            kind = (lambda one: one) if ids.dtype.kind == "i" else str
            more = [kind(ident) for ident in table["item_id"].tolist()]
            ids = ids.append(pd.Index(dict.fromkeys(more)).difference(ids, sort=False))
    rows = pd.DataFrame({"user_id": np.zeros(len(ids), np.int64), "item_id": ids})
    data = assemble(
        log.file.name.split(".")[0], rows, table, source=log.file, items_source=source, twice=config.duplicate_ids
    )
    return data.with_(interactions=data.interactions.iloc[:0], users=data.users.iloc[:0])


def vars_of(spent: Any) -> dict[str, Any]:
    """The fields of a frozen slotted dataclass."""
    return {name: getattr(spent, name) for name in spent.__dataclass_fields__}


def _count(before: Dataset, after: Dataset, rows: dict[str, int]) -> None:
    """Add a block's rows: `read`, and what became of them: `raw` is unchanged, whatever an earlier refinement did."""
    rows["read"] += len(before)
    edited = changed_rows(before, after)
    counts = after.interactions["origin"][edited].value_counts().to_dict()
    for origin, count in {"raw": int((~edited).sum()), **counts}.items():
        rows[str(origin)] = rows.get(str(origin), 0) + int(count)


def _pairs(refining: Refining) -> list[Path]:
    """The preference pairs that the steps of this run have left."""
    return [path for step in refining.steps for path in refining.states.pairs(step.state)]


def _joined(tables: list[Path], out: Path) -> None:
    """The rows of several Parquet files of one form in one, a file at a time."""
    with parquet.ParquetWriter(out, parquet.read_schema(tables[0])) as writer:
        for path in tables:
            writer.write_table(parquet.read_table(path, use_threads=False))


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
