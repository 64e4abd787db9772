"""Writes what a refinement came to: the refined log, `changes.parquet` and `pairs.parquet`."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from pyarrow import parquet

from ...atomic import write_whole
from ...recsys.data import Dataset
from .changes import CHANGES, changed_rows, changes, with_removed_rows
from .merge import write_merged
from .rows import block_rows
from .source_copy import SourceCopy, note_undo
from .steps import Refining

PAIRS = "pairs.parquet"


def write_refined(refining: Refining, out: Path, copy: SourceCopy) -> dict[str, int]:
    """Write `out` and the tables of what changed, each whole or not at all; gives how many rows of which kind."""
    parts, folder = refining.parts, refining.folder
    rows: dict[str, int] = {"read": 0, "written": 0}
    final = folder / "states" / "written"
    shutil.rmtree(final, ignore_errors=True)
    final.mkdir(parents=True)

    def each_block(path: Path) -> None:
        writer: parquet.ParquetWriter | None = None
        for block in range(parts.blocks.count):
            before = parts.dataset(block)
            data = with_removed_rows(before, refining.dataset(block), partial(refining.later_states, block))
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
