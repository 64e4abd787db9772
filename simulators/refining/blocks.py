"""The first pass: a log cut into blocks of whole users, with the numbers of all its items.

    folder/blocks.json             identity, items in order of first appearance, rows
    folder/block-00000.parquet     the rows of some users, by a hash of the user's id, in the order of the file

A block holds every column of the file. No block depends on how many others there are but for which users it has.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...errors import DataError
from ...recsys.data.streams import Log, chunks
from ..atomic import write_text

INDEX, ITEMS = "blocks.json", "items.parquet"
UNPACKED = 6
"""About how many times larger a log is than its gzip or its Parquet file."""
_SEED = "recloop-blocks--"
"""Of the hash that deals users into blocks: 16 characters."""


@dataclass(frozen=True)
class Blocks:
    """folder: where they lie. item_ids: (n_items,) in order of first appearance in the log. rows: of the log."""

    folder: Path
    count: int
    item_ids: pd.Index
    rows: int

    def path(self, block: int) -> Path:
        return self.folder / f"block-{block:05d}.parquet"

    def read(self, block: int, columns: list[str] | None = None) -> pa.Table:
        """One block's rows, as `streams.chunks` gives them, in the order of the file."""
        return parquet.read_table(self.path(block), columns=columns, use_threads=False)


def cut(log: Log, folder: Path, block_mb: float, identity: dict[str, Any]) -> Blocks:
    """The blocks of `log` in `folder`, made now or found there whole and of the same identity."""
    index = folder / INDEX
    if index.is_file():
        told = json.loads(index.read_text(encoding="utf-8"))
        if told["identity"] == identity:
            ids = pd.Index(parquet.read_table(folder / ITEMS)["item_id"].to_pandas())
            return Blocks(folder, told["count"], ids, told["rows"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = log.file.path.stat().st_size * (UNPACKED if log.file.path.suffix in (".gz", ".parquet", ".pq") else 1)
    count = max(1, math.ceil(size / (block_mb * 2**20)))
    items: dict[Any, None] = {}
    rows = 0
    blocks = Blocks(folder, count, pd.Index([]), 0)
    writers: dict[int, parquet.ParquetWriter] = {}
    try:
        for chunk in chunks(log):
            rows += chunk.num_rows
            column = chunk["items"].combine_chunks().flatten() if "items" in chunk.column_names else chunk["item"]
            items.update(dict.fromkeys(column.unique().to_pylist()))
            for block, part in _dealt(chunk, count):
                if block not in writers:
                    writers[block] = parquet.ParquetWriter(blocks.path(block), part.schema, compression="zstd")
                writers[block].write_table(part)
            del chunk
    finally:
        for writer in writers.values():
            writer.close()
    if not rows:
        raise DataError(f"{log.file}: no interactions; the file holds no row under its header")
    # A block that no user fell into is not there: the others move up.
    for place, block in enumerate(sorted(writers)):
        blocks.path(block).replace(blocks.path(place))
    ids = pd.Index(list(items))
    parquet.write_table(pa.table({"item_id": pa.array(list(items))}), folder / ITEMS)
    write_text(index, json.dumps({"identity": identity, "count": len(writers), "rows": rows}) + "\n")
    return Blocks(folder, len(writers), ids, rows)


def _dealt(chunk: pa.Table, count: int) -> Iterator[tuple[int, pa.Table]]:
    """The chunk's rows by block, each part in the order of the file."""
    if count == 1:
        yield 0, chunk
        return
    block = (hashed(chunk["user"].to_pandas(), _SEED) % np.uint64(count)).astype(np.int64)
    order = np.argsort(block, kind="stable")
    ends = np.cumsum(np.bincount(block, minlength=count))
    for number, (start, end) in enumerate(zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)):
        if end > start:
            yield number, chunk.take(pa.array(order[start:end]))


def hashed(ids: pd.Series, key: str) -> npt.NDArray[np.uint64]:
    """A number of each id, the same wherever it stands; each different id is hashed once."""
    codes, unique = pd.factorize(ids)
    return pd.util.hash_array(pd.Series(unique).astype(str).to_numpy(object), hash_key=key, categorize=False)[codes]


def item_codes(blocks: Blocks, items: Any) -> npt.NDArray[np.int32]:
    """(n,) the numbers of items by their ids."""
    return blocks.item_ids.get_indexer(pd.Index(items)).astype(np.int32)
