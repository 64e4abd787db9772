"""The memory of `refine`: many parts take a fraction of what one part takes, and give the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recloop.errors import RunError
from recloop.simulators.refining.refine import refine
from threadpoolctl import threadpool_limits

from tests.simulators.refining import large

GENERATED = "steps=[{generate: {users: 40, fuse: {quota: 3}}}]"
BOTH = (
    "steps=[{generate: {users: 40, fuse: {quota: 3}}}, "
    "{discriminate: {users: 20, calibration_users: 20, cut: {untested: keep}}}]"
)


def compared(folder: Path, rows: int, limit: int, block_mb: float, steps: str) -> dict[str, Any]:
    """What the refine in parts and in one part took, under `limit` megabytes beyond the modules' (0: under none)."""
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
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["rows"] > rows
    with threadpool_limits(1):  # as the child: sums of other orders differ in their last digits, and break ties anew
        whole = refine(log, folder / "whole.csv", settings=[*settings, "block_mb=10000"])
    assert whole.rows["written"] == outcome["rows"]
    assert parts.read_bytes() == (folder / "whole.csv").read_bytes()
    return outcome


def test_a_log_in_parts_takes_a_fraction_of_the_memory_that_it_takes_in_one(tmp_path: Path) -> None:
    outcome = compared(tmp_path, rows=160_000, limit=0, block_mb=1, steps=GENERATED)
    assert outcome["peak_mb"] < 80 < outcome["one_part_mb"]


def test_memory_that_does_not_suffice_ends_a_refine_with_the_remedy(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError("malloc of size 8 failed")

    monkeypatch.setattr("recloop.agents.chat.replies._row", full)
    large.write(tmp_path / "log.csv", 400)
    large.write_items(tmp_path / "items.csv")
    settings = [GENERATED, f"data.items={tmp_path / 'items.csv'}"]
    with pytest.raises(RunError, match=r"does not fit in memory .*malloc of size 8.* choose a smaller block_mb"):
        refine(tmp_path / "log.csv", tmp_path / "out.csv", settings=settings)


@pytest.mark.slow
def test_three_million_rows_are_refined_in_parts_where_memory_does_not_hold_them(tmp_path: Path) -> None:
    outcome = compared(tmp_path, rows=3_000_000, limit=300, block_mb=8, steps=BOTH)
    assert outcome["peak_mb"] < 300
    assert "choose a smaller block_mb" in outcome["in_one_part"]
