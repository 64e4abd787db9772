"""The rows of all blocks merged into one file, in the order of the log; little of each block is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ...recsys.data.log_file import LogFile
from .log_writer import LogWriter
from .rows import AT, SEQ

BATCH_ROWS = 20_000
"""Rows merged at once, which all blocks share."""


def write_merged(log: LogFile, tables: list[Path], out: Path, provenance: bool) -> int:
    """Write the rows of all blocks (files of `block_rows`) to `out` in the form of `log`; gives their number."""
    rows = 0
    with LogWriter(log, out, provenance) as writer:
        for batch in merged_batches(tables):
            rows += batch.num_rows
            writer.write(batch.drop_columns([AT, SEQ]))
    return rows


def merged_batches(tables: list[Path]) -> Iterator[pa.Table]:
    """The rows of several tables, each in order, in the order of all."""
    size = max(1_000, BATCH_ROWS // len(tables))
    readers = [parquet.ParquetFile(path).iter_batches(batch_size=size) for path in tables]
    heads: list[pa.Table | None] = [_next(reader) for reader in readers]
    while any(part is not None for part in heads):
        border = min(int(part[AT][-1].as_py()) for part in heads if part is not None)
        ready: list[pa.Table] = []
        for place, part in enumerate(heads):
            # A row's followers may stand in the next batch: they come with it.
            while part is not None and int(part[AT][-1].as_py()) <= border:
                ready.append(part)
                part = _next(readers[place])
            if part is not None:
                below = int(np.searchsorted(part[AT].to_numpy(), border, side="right"))
                ready.append(part.slice(0, below))
                part = part.slice(below)
            heads[place] = part
        whole = pa.concat_tables(ready)
        order = np.lexsort((whole[SEQ].to_numpy(), whole[AT].to_numpy()))
        yield whole.take(pa.array(order))


def _next(reader: Iterator[pa.RecordBatch]) -> pa.Table | None:
    for batch in reader:
        if batch.num_rows:
            return pa.Table.from_batches([batch])
    return None
