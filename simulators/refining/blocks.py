"""The first pass: a log is cut into blocks of whole users, and its items are numbered.

    folder/blocks.json             identity, items in order of first appearance, rows
    folder/block-00000.parquet     the rows of some users, by a hash of the user's id, in the order of the file

A block holds every column of the file. The number of blocks decides which users a block has, and nothing else.
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

from ...atomic import write_text
from ...errors import DataError
from ...recsys.data.log_file import LogFile
from ...recsys.data.streams import chunks

INDEX, ITEMS = "blocks.json", "items.parquet"
UNPACKED = 6
"""About how many times larger a log is than its gzip or its Parquet file."""
MOST = 500
"""Blocks of a log at most: each is an open file while the log is cut. Of a log above 500 x block_mb they are larger."""
_SEED = "recloop-blocks--"
"""Key of the hash that assigns users to blocks: 16 characters."""


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


def cut(log: LogFile, folder: Path, block_mb: float, identity: dict[str, Any]) -> Blocks:
    """The blocks of `log` in `folder`: those there, if whole and of the same identity, else cut now."""
    earlier = _cut_before(folder, identity)
    if earlier is not None:
        return earlier
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = log.file.path.stat().st_size * (UNPACKED if log.file.path.suffix in (".gz", ".parquet", ".pq") else 1)
    count = min(max(1, math.ceil(size / (block_mb * 2**20))), MOST)
    items: dict[Any, None] = {}
    rows = 0
    blocks = Blocks(folder, count, pd.Index([]), 0)
    with _Writers(blocks, int(block_mb * 2**20)) as writers:
        for chunk in chunks(log):
            rows += chunk.num_rows
            column = chunk["items"].combine_chunks().flatten() if "items" in chunk.column_names else chunk["item"]
            items.update(dict.fromkeys(column.unique().to_pylist()))
            for block, part in _by_block(chunk, count):
                writers.take(block, part)
            del chunk
    if not rows:
        raise DataError(f"{log.file}: no interactions; the file holds no row under its header")
    # A block that no user fell into is not there: the others move up.
    for place, block in enumerate(sorted(writers.opened)):
        blocks.path(block).replace(blocks.path(place))
    ids = pd.Index(list(items))
    parquet.write_table(pa.table({"item_id": pa.array(list(items))}), folder / ITEMS)
    write_text(folder / INDEX, json.dumps({"identity": identity, "count": len(writers.opened), "rows": rows}) + "\n")
    return Blocks(folder, len(writers.opened), ids, rows)


def _cut_before(folder: Path, identity: dict[str, Any]) -> Blocks | None:
    """The blocks in `folder`; None where there are none, others, or damaged ones, which are cut again."""
    try:
        stored = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if stored["identity"] != identity:
            return None
        ids = pd.Index(parquet.read_table(folder / ITEMS)["item_id"].to_pandas())
        blocks = Blocks(folder, stored["count"], ids, stored["rows"])
        rows = sum(parquet.read_metadata(blocks.path(block)).num_rows for block in range(blocks.count))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid):
        return None
    return blocks if rows == blocks.rows else None


class _Writers:
    """The open files of all blocks. Rows are written once `size` bytes are together: a write makes a row group, whose
    description stays in memory until the file is closed."""

    def __init__(self, blocks: Blocks, size: int) -> None:
        self.opened: dict[int, parquet.ParquetWriter] = {}
        self._blocks, self._size = blocks, size
        self._waiting: dict[int, list[pa.Table]] = {}
        self._held = 0

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._write()
        for writer in self.opened.values():
            writer.close()

    def take(self, block: int, part: pa.Table) -> None:
        self._waiting.setdefault(block, []).append(part)
        self._held += part.nbytes
        if self._held >= self._size:
            self._write()

    def _write(self) -> None:
        for block in sorted(self._waiting):
            whole = pa.concat_tables(self._waiting.pop(block))
            if block not in self.opened:
                path = self._blocks.path(block)
                self.opened[block] = parquet.ParquetWriter(path, whole.schema, compression="zstd")
            self.opened[block].write_table(whole)
        self._held = 0


def _by_block(chunk: pa.Table, count: int) -> Iterator[tuple[int, pa.Table]]:
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
    """(n,) a hash of each id, the same in every block; each distinct id is hashed once."""
    codes, unique = pd.factorize(ids)
    return pd.util.hash_array(pd.Series(unique).astype(str).to_numpy(object), hash_key=key, categorize=False)[codes]


def item_codes(blocks: Blocks, items: Any) -> npt.NDArray[np.int32]:
    """(n,) the numbers of items by their ids."""
    return blocks.item_ids.get_indexer(pd.Index(items)).astype(np.int32)
