"""What each step leaves of each block, on disk: a block whose state is there is not worked again.

run/states/<step>/block-00000.parquet   the block's interactions after the step
run/states/<step>/block-00000.pairs     preference pairs that the step has stated, where there are any
run/states/<step>/block-00000.json      the step's report of the block, written last: the state is whole
run/states/<step>/fused                 quota, share and weights have been applied over all blocks
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...agents.fusion import with_provenance
from ...atomic import write_text, write_whole
from ...errors import RunError
from ...recsys.data import Dataset
from .parts import Parts


@dataclass(frozen=True)
class BlockStates:
    """The states of all steps below `folder`; `parts` holds the blocks as they were read."""

    parts: Parts
    folder: Path

    def path(self, state: str, block: int) -> Path:
        return self.folder / state / f"block-{block:05d}.parquet"

    def dataset(self, state: str | None, block: int) -> Dataset:
        """A block as the step `state` has left it; None: as it was read."""
        data = self.parts.dataset(block)
        if state is None:
            return data
        return data.with_(interactions=self.frame(state, block))

    def frame(self, state: str, block: int) -> pd.DataFrame:
        """The interactions of a block as the step `state` has left them."""
        path = self.path(state, block)
        try:
            return parquet.read_table(path, use_threads=False).to_pandas()
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(path, error) from error

    def open_blocks(self, state: str) -> list[int]:
        """The blocks that have no such state yet."""
        blocks = range(self.parts.blocks.count)
        return [block for block in blocks if not self.path(state, block).with_suffix(".json").is_file()]

    def write(self, state: str, block: int, data: Dataset, report: Mapping[str, Any]) -> None:
        """Leave a block's interactions, its pairs by ids, and the step's report of it."""
        path = self.path(state, block)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, partial(_put, with_provenance(data.interactions)))
        if len(data.pairs):
            pairs = data.pairs.assign(user=data.users["user_id"].to_numpy()[data.pairs["user"]])
            for side in ("preferred", "other"):
                pairs[side] = data.items["item_id"].to_numpy()[pairs[side]]
            write_whole(path.with_suffix(".pairs"), partial(_put, pairs))
        write_text(path.with_suffix(".json"), json.dumps(report) + "\n")

    def replace_frames(self, state: str, frames: Iterator[pd.DataFrame]) -> None:
        """Put other interactions, a block after the other, in the place of those of `state`; all or, for now, none."""
        for block, frame in enumerate(frames):
            write_whole(self.path(state, block).with_suffix(".fused"), partial(_put, frame))
        for block in range(self.parts.blocks.count):
            path = self.path(state, block)
            if path.with_suffix(".fused").is_file():
                path.with_suffix(".fused").replace(path)

    def reports(self, state: str) -> list[dict[str, Any]]:
        """The step's report of every block."""
        paths = (self.path(state, block).with_suffix(".json") for block in range(self.parts.blocks.count))
        return [_report(path) for path in paths]

    def pairs(self, state: str) -> list[Path]:
        """The tables of preference pairs that the step has left."""
        return sorted((self.folder / state).glob("*.pairs"))


def _put(frame: pd.DataFrame, path: Path) -> None:
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, compression="zstd")


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error
    return report


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(
        f"{path} is damaged ({error}); delete {path.parent}: the same command makes it again and asks nothing"
    )
