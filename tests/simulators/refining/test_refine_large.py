"""`refine` of a log that memory does not hold: in one part it breaks the limit, in many it stays below, same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recloop.simulators.refining.refine import refine

from tests.simulators.refining import large

GENERATED = "steps=[{generate: {users: 40, fuse: {quota: 3}}}]"
BOTH = (
    "steps=[{generate: {users: 40, fuse: {quota: 3}}}, "
    "{discriminate: {users: 20, calibration_users: 20, cut: {untested: keep}}}]"
)


def compared(folder: Path, rows: int, limit: int, block_mb: float, steps: str) -> None:
    """limit: megabytes beyond what the modules take."""
    log, parts, items = folder / "log.csv", folder / "parts.csv", folder / "items.csv"
    large.write(log, rows)
    large.write_items(items)
    settings = [steps, "sample_rows=5000", f"data.items={items}"]
    words = [large.__file__, "refine", log, parts, limit, *settings, f"block_mb={block_mb}"]
    # Other allocators reserve address space by the gigabyte, and meet the limit with nothing in it.
    lean = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env={**os.environ, **lean}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["peak_mb"] < limit
    assert "choose a smaller block_mb" in told["in_one_part"]
    assert told["rows"] > rows
    assert refine(log, folder / "whole.csv", settings=[*settings, "block_mb=10000"]).rows["written"] == told["rows"]
    assert parts.read_bytes() == (folder / "whole.csv").read_bytes()


def test_a_log_that_memory_does_not_hold_is_refined_in_parts(tmp_path: Path) -> None:
    compared(tmp_path, rows=160_000, limit=80, block_mb=1, steps=GENERATED)


@pytest.mark.slow
def test_three_million_rows_are_refined_in_parts(tmp_path: Path) -> None:
    compared(tmp_path, rows=3_000_000, limit=300, block_mb=8, steps=BOTH)
