"""`recloop refine` killed (-9) at random moments, in real processes, and started again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.refining.logs import log_at
from tests.simulators.study_files import recloop


@pytest.mark.slow
def test_a_refine_killed_at_random_moments_writes_what_one_let_alone_writes(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    steps = "steps=[{generate: {slate_size: 8, fuse: {quota: 2}}}, {discriminate: {calibration_users: 40}}]"
    told = [word for setting in (*settings, steps, "block_mb=0.01") for word in ("--set", setting)]
    whole = recloop("refine", path, tmp_path / "whole.csv", "--json", *told)
    out, problem = whole.communicate(timeout=200)
    assert whole.returncode == 0, problem
    assert json.loads(out)["complete"]
    rng, kills = np.random.default_rng(3), 0
    folder = tmp_path / "killed.csv.run"
    for _ in range(3):
        before = len(list(folder.rglob("*.parquet")))
        program = recloop("refine", path, tmp_path / "killed.csv", *told)
        while len(list(folder.rglob("*.parquet"))) <= before + 1 and program.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        kills += program.poll() is None
        program.kill()
        program.communicate()
    assert kills >= 2, "the kills came too late to test anything"
    last = recloop("refine", path, tmp_path / "killed.csv", "--json", *told)
    again, problem = last.communicate(timeout=200)
    assert last.returncode == 0, problem
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    ours, theirs = json.loads(again), json.loads(out)
    assert ours["reports"] == theirs["reports"]
    assert ours["rows"] == theirs["rows"]
    assert not list(tmp_path.glob(".killed*"))
