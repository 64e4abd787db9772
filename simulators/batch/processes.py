"""Shards over the cores of one machine: a spawned process a shard, replaced when it dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ...atomic import write_text
from ...errors import RecloopError, RunError
from .shard_job import Report, Shared, run_shard
from .summary import Summary

LIVES = 6
"""Workers a shard may use up before the run is given up."""

REFUSED, INTERRUPTED = 3, 130
"""Exit codes of a worker: it has written down why it cannot go on; Ctrl-C."""


def run_in_processes(shared: Shared, max_workers: int, report: Report) -> list[Summary]:
    """Do all shards, at most `max_workers` at a time. Raises what a worker reported, RunError where one keeps dying."""
    spawn = multiprocessing.get_context("spawn")
    waiting, deaths = deque(range(shared.shards)), Counter[int]()
    working: dict[int, SpawnProcess] = {}
    done: dict[int, Summary] = {}
    try:
        while waiting or working:
            while waiting and len(working) < max_workers:
                index = waiting.popleft()
                working[index] = spawn.Process(target=_worker, args=(shared, index, os.getpid()), name=f"shard-{index}")
                working[index].start()
            wait([process.sentinel for process in working.values()], timeout=0.5)
            report()
            for index in [index for index, process in working.items() if process.exitcode is not None]:
                code = working.pop(index).exitcode
                if code == 0:
                    done[index] = Summary.read(_outcome(shared.folder, index))
                elif code == REFUSED:
                    _raise(index, _outcome(shared.folder, index))
                elif code == INTERRUPTED:
                    raise KeyboardInterrupt
                else:
                    deaths[index] += 1
                    if deaths[index] >= LIVES:
                        raise RunError(
                            f"the worker of shard {index} died {LIVES} times (exit code {code}; -9 is often a lack of "
                            "memory); start the run again with fewer workers at once: it resumes"
                        )
                    waiting.append(index)
    finally:
        _stop(list(working.values()))
    return [done[index] for index in range(shared.shards)]


def _worker(shared: Shared, index: int, parent: int) -> None:
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    outcome = _outcome(shared.folder, index)
    outcome.parent.mkdir(parents=True, exist_ok=True)
    try:
        summary = run_shard(shared, index)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    # Whatever it is, the parent has to say it: a traceback among several workers' output is lost.
    except Exception as error:
        expected = isinstance(error, RecloopError)
        outcome_facts = {
            "expected": expected,
            "message": str(error),
            "traceback": "" if expected else traceback.format_exc(),
        }
        write_text(outcome, json.dumps(outcome_facts))
        sys.exit(REFUSED)
    write_text(outcome, json.dumps(summary.as_json()))


def _follow(parent: int) -> None:
    """Die with the parent, however it died: a run is safe against a sudden end, but not against two writers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _outcome(folder: Path, index: int) -> Path:
    return folder / "shards" / f"{index}.outcome"


def _raise(index: int, outcome: Path) -> None:
    outcome_facts = json.loads(outcome.read_text(encoding="utf-8"))
    if outcome_facts["expected"]:
        raise RunError(f"shard {index}: {outcome_facts['message']}")
    raise RuntimeError(f"shard {index}: {outcome_facts['message']}\n{outcome_facts['traceback']}")


def _stop(workers: list[SpawnProcess]) -> None:
    """End workers as Ctrl-C would, so that they write what they have finished; kill those that do not listen."""
    for process in workers:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGINT)
    until = time.monotonic() + 15.0
    for process in workers:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
