"""How long a run with 1,000,000 finished records takes to start again, and how much memory it takes.

    python benchmarks/resume_1m.py [--records 1000000] [--rows 2000] [--payload 300]

Writes the records once (in a temporary folder, as a run would: parts of `--rows` records), then starts the run again in
a fresh process and measures it: from `run_batch` to the first new task's call, and to the end with its summary. The
bounds are 5 s and 500 MB (peak resident size of the whole process, imports included) to the first call.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from recloop.agents.agent import Record, Records, Task, Tools
from recloop.agents.chat.types import Reply, Request
from recloop.recsys.data import Dataset
from recloop.simulators.batch.parts import PartWriter, parts_of
from recloop.simulators.batch.runner import run_batch


@dataclass(frozen=True)
class Counting:
    """Tasks user:0 .. user:n-1; one task notes when the first new one began."""

    n: int
    first: list[float]
    """Clock, peak MB and CPU seconds at the first new task."""
    began: float
    name: str = "counting"

    def tasks(self, data: Dataset) -> Iterator[Task]:
        for number in range(self.n):
            yield Task(f"user:{number}", {"number": number})

    def graph(self) -> Any:
        return self

    async def ainvoke(self, state: dict[str, Any], context: Tools) -> dict[str, Any]:
        self.first.append(time.monotonic())
        self.first.append(peak_mb())
        self.first.append(time.process_time() - self.began)
        return {"payload": {}}

    def fold(self, data: Dataset, records: Records) -> Dataset:
        return data


@dataclass(frozen=True)
class Nothing:
    async def __call__(self, request: Request) -> Reply:
        raise AssertionError("no call is made here")

    def remember(self, memos: Any) -> None: ...

    def recall(self, owner: str, about: str, k: int, *, now: int, kinds: Any = ()) -> list[Any]:
        return []

    def flush(self) -> None: ...


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def start(folder: Path, tasks: int) -> dict[str, float]:
    agent, nothing = Counting(tasks, [], time.process_time()), Nothing()
    data = Dataset.of("two", pd.DataFrame({"user_id": [1, 2], "item_id": [1, 1]}))
    imports, began = peak_mb(), time.monotonic()
    summary = run_batch(agent, data, lambda _: Tools(nothing, nothing), folder, seed=0)
    return {
        "records": summary.tasks,
        "imports_mb": round(imports),
        "first_call_cpu_s": round(agent.first[2], 2) if agent.first else 0.0,
        "first_call_s": round(agent.first[0] - began, 2) if agent.first else 0.0,
        "first_call_peak_mb": round(agent.first[1]) if agent.first else 0.0,
        "end_s": round(time.monotonic() - began, 2),
        "end_peak_mb": round(peak_mb()),
    }


def fill(folder: Path, records: int, rows: int, payload: int) -> None:
    start(folder, 0)
    writer = PartWriter(folder, 0, rows=rows)
    text = json.dumps({"text": "x" * payload})
    for number in range(records):
        record = Record(f"user:{number}", "counting", "ok", text, calls=1, prompt_tokens=900, cost=0.001)
        if writer.add(record, number):
            writer.flush()
    writer.flush()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--rows", type=int, default=2_000)
    options.add_argument("--payload", type=int, default=300)
    options.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.start is not None:
        print(json.dumps(start(arguments.start, arguments.records + 1)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, arguments.records, arguments.rows, arguments.payload)
        print(f"{arguments.records} records in {len(parts_of(folder))} parts")
        again = [sys.executable, __file__, "--records", str(arguments.records), "--start", name]
        measured = json.loads(subprocess.run(again, capture_output=True, text=True, check=True).stdout)
    print(json.dumps(measured))
    within = measured["first_call_s"] <= 5.0 and measured["first_call_peak_mb"] <= 500
    print("within" if within else "NOT within", "5 s and 500 MB")
    sys.exit(not within)


if __name__ == "__main__":
    main()
