"""Runs that are killed (-9) at random moments, in real processes, and started again."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from recloop.simulators.batch.parts import parts_of
from recloop.simulators.batch.records import finished_keys, read_records
from recloop.simulators.batch.runner import run_batch

CONCURRENCY = 8


def start(toy, config, folder) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, toy.__file__, json.dumps(config), str(folder)])


def killed_and_resumed(toy, tmp_path, tasks: int, kills: int, seed: int) -> int:
    """Records of a run killed `kills` times equal those of one that was let alone; the calls it made."""
    rng = np.random.default_rng(seed)
    config = {"n": tasks, "seconds": 0.008, "invalid": [3, 200], "unavailable": [5, 300]}
    job = toy.job(config)
    run_batch(job.agent, job.data, job.tools_for, tmp_path / "whole", seed=job.seed, concurrency=CONCURRENCY)
    ledger = tmp_path / "ledger"
    config |= {"cache": str(tmp_path / "replies.sqlite"), "ledger": str(ledger)}
    done = 0
    for _ in range(kills):
        program = start(toy, config, tmp_path / "killed")
        before = {part.path for part in parts_of(tmp_path / "killed")}
        while {part.path for part in parts_of(tmp_path / "killed")} <= before and program.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.15))
        program.kill()
        program.wait()
        kept = len(finished_keys(tmp_path / "killed"))
        assert kept >= done
        done = kept
    assert 0 < done < tasks, "the kills came too late to test anything"
    assert start(toy, config, tmp_path / "killed").wait() == 0
    whole, killed = read_records(tmp_path / "whole"), read_records(tmp_path / "killed")
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), killed.drop(columns="seconds"))
    assert not list((tmp_path / "killed" / "parts").glob("*.tmp"))
    return ledger.stat().st_size


def test_a_run_killed_at_random_moments_has_the_records_of_one_let_alone(toy, tmp_path):
    calls = killed_and_resumed(toy, tmp_path, tasks=500, kills=2, seed=1)
    # Failures are not cached: what a killed run had not yet written of the 2 invalid and 2 failed tasks is asked again.
    assert calls <= 2 * 500 + 2 * (CONCURRENCY + 4)


@pytest.mark.slow
def test_twenty_kills_repeat_no_more_calls_than_were_in_flight(toy, tmp_path):
    calls = killed_and_resumed(toy, tmp_path, tasks=6_000, kills=20, seed=2)
    assert calls <= 2 * 6_000 + 20 * (CONCURRENCY + 4)
