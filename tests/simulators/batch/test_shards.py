import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from recloop.errors import ConfigError, RunError
from recloop.simulators.batch.manifest import read_manifest
from recloop.simulators.batch.parts import parts_of
from recloop.simulators.batch.processes import LIVES
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.shards import run_sharded
from recloop.simulators.batch.summary import Summary

N = 120
TROUBLE = {"n": N, "invalid": [3], "unavailable": [5, 50], "seconds": 0.002}


def timeless(folder) -> pd.DataFrame:
    return read_records(folder).drop(columns="seconds")


@pytest.fixture
def serial(toy, tmp_path):
    """The records of one shard, done here."""
    run_sharded("toy_batch:job", TROUBLE, tmp_path / "serial", shards=1)
    return timeless(tmp_path / "serial")


def test_shards_done_in_turn_have_the_records_of_a_whole_run(serial, tmp_path):
    summary = run_sharded("toy_batch:job", TROUBLE, tmp_path / "run", shards=5)
    pd.testing.assert_frame_equal(serial, timeless(tmp_path / "run"))
    assert (summary.tasks, summary.ok, summary.invalid, summary.failed) == (N, N - 3, 1, 2)
    assert {part.shard for part in parts_of(tmp_path / "run")} == set(range(5))
    assert Summary.read(tmp_path / "run" / "summary.json") == summary


def test_a_run_may_be_resumed_with_another_number_of_shards(serial, tmp_path):
    stopped = run_sharded("toy_batch:job", {**TROUBLE, "budget": 60}, tmp_path / "run", shards=3)
    assert "budget" in stopped.stopped
    assert read_manifest(tmp_path / "run")["finished"] is None
    summary = run_sharded("toy_batch:job", TROUBLE, tmp_path / "run", shards=2)
    assert summary.resumed == stopped.tasks
    pd.testing.assert_frame_equal(serial, timeless(tmp_path / "run"))


def test_processes_have_the_records_of_a_serial_run_though_one_is_killed(serial, tmp_path):
    grave = tmp_path / "grave"
    config = {**TROUBLE, "die_once_at": 40, "grave": str(grave)}
    summary = run_sharded("toy_batch:job", config, tmp_path / "run", shards=2, backend="processes")
    assert grave.exists()
    pd.testing.assert_frame_equal(serial, timeless(tmp_path / "run"))
    assert summary.tasks == N


def test_a_bug_in_a_worker_is_told_with_its_task_and_traceback(toy, tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)shard 0: task 'user:7' stopped the run: KeyError.*Traceback"):
        run_sharded("toy_batch:job", {**TROUBLE, "bugs": [7]}, tmp_path, shards=1, backend="processes")
    assert len(read_records(tmp_path)) >= 7


def test_a_shard_whose_worker_keeps_dying_gives_up_with_a_remedy(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("recloop.simulators.batch.processes.LIVES", 1)
    assert LIVES > 1
    config = {**TROUBLE, "die_once_at": 0, "grave": str(tmp_path / "no" / "such" / "grave")}
    config["grave"] = str(tmp_path / "grave")
    with pytest.raises(RunError, match=r"shard 0 died 1 times \(exit code -9"):
        run_sharded("toy_batch:job", config, tmp_path / "run", shards=1, backend="processes")


def test_workers_end_when_their_parent_is_killed(toy, tmp_path):
    program = (
        "from recloop.simulators.batch.shards import run_sharded\n"
        "if __name__ == '__main__':\n"
        "    run_sharded('toy_batch:job', {'n': 100000, 'seconds': .02}, r'%s', shards=1, backend='processes')"
    )
    path = tmp_path / "program.py"
    path.write_text(program % (tmp_path / "run"))
    parent = subprocess.Popen([sys.executable, str(path)])
    until = time.monotonic() + 40
    while not parts_of(tmp_path / "run"):
        assert time.monotonic() < until
        time.sleep(0.05)
    worker = int((tmp_path / "run" / "shard-0.lock").read_text().split()[1])
    assert worker != parent.pid
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while alive(worker):
        assert time.monotonic() < until, "the worker outlived its parent"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("factory", "backend", "said"),
    [
        ("no_such_module:job", "serial", r"'no_such_module:job' cannot be imported"),
        ("toy_batch:no_such", "serial", "cannot be imported"),
        ("toy_batch", "serial", "package.module:function"),
        ("toy_batch:CONFIG", "serial", "cannot be imported"),
        ("toy_batch:job", "threads", "choose serial, processes or ray"),
    ],
)
def test_a_wrong_setting_is_named(toy, tmp_path, factory, backend, said):
    with pytest.raises(ConfigError, match=said):
        run_sharded(factory, TROUBLE, tmp_path, shards=1, backend=backend)


@pytest.mark.slow
def test_ray_has_the_records_of_a_serial_run_though_a_worker_is_killed(serial, tmp_path):
    import ray

    grave = tmp_path / "grave"
    config = {**TROUBLE, "die_once_at": 40, "grave": str(grave)}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        summary = run_sharded("toy_batch:job", config, tmp_path / "run", shards=3, backend="ray", max_workers=2)
    finally:
        ray.shutdown()
    assert grave.exists()
    pd.testing.assert_frame_equal(serial, timeless(tmp_path / "run"))
    assert summary.tasks == N


@pytest.mark.slow
def test_a_bug_on_ray_names_its_task(toy, tmp_path):
    with pytest.raises(RuntimeError, match=r"task 'user:7' stopped the run"):
        run_sharded("toy_batch:job", {**TROUBLE, "bugs": [7]}, tmp_path, shards=1, backend="ray")
