"""What the engine's benchmarks share: a world of any size, and a loopback server in a process of its own."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recloop.agents.chat.schema_samples import WORDS
from recloop.recsys.data import Dataset

PAGE_MB = resource.getpagesize() / 2**20


@dataclass(frozen=True)
class Server:
    """A loopback server in another process; `url` is what goes into `llm.base_url`."""

    url: str
    pid: int

    def seen(self) -> dict[str, int]:
        """What it has counted: `requests`, `ok`, every fault by name, `most_in_flight`."""
        with urllib.request.urlopen(f"{self.url}/loopback", timeout=10) as answer:
            counts: dict[str, int] = json.loads(answer.read())
        return counts

    def tell(self, **state: str) -> None:
        """`away="error_503"` lets every request fail so, `away=""` ends that."""
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/loopback", json.dumps(state).encode()), timeout=10
        ).close()

    def cpu(self) -> float:
        """Seconds of CPU it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def served(*options: object, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """`python -m recloop.agents.chat.loopback OPTIONS` while the block runs."""
    command = [sys.executable, "-m", "recloop.agents.chat.loopback", "--port", "0", *map(str, options)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert program.stdout is not None
    try:
        yield Server(program.stdout.readline().strip(), program.pid)
    finally:
        program.send_signal(signal.SIGINT)
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def world(users: int, *, items: int = 500, history: int = 8, seed: int = 0) -> Dataset:
    """`users` with `history` interactions each; items have a title, categories and a description in plain words."""
    rng, speak = np.random.default_rng([seed, 7]), random.Random(seed)
    taken = np.concatenate([rng.choice(items, history, replace=False) for _ in range(users)])
    interactions = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), history),
            "item_id": taken,
            "timestamp": np.tile(np.arange(history), users) + 1,
        }
    )
    catalogue = pd.DataFrame(
        {
            "item_id": np.arange(items),
            "title": [f"{speak.choice(WORDS)} {speak.choice(WORDS)} {n}".title() for n in range(items)],
            "categories": [" ".join(speak.sample(WORDS, 2)) for _ in range(items)],
            "description": [" ".join(speak.choice(WORDS) for _ in range(25)) for _ in range(items)],
        }
    )
    return Dataset.of("engine", interactions, catalogue)


def resident_mb() -> float:
    """What this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


@dataclass
class Clock:
    """Wall and CPU seconds of this process since it was made."""

    wall: float = 0.0
    cpu: float = 0.0

    def __post_init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self.wall, time.process_time() - self.cpu


def verdict(name: str, value: float, bound: float, *, least: bool = False) -> dict[str, Any]:
    """A figure beside its bound; `least`: the bound is a lower one."""
    held = value >= bound if least else value <= bound
    return {"claim": name, "value": round(value, 4), "bound": f"{'>=' if least else '<='} {bound:g}", "holds": held}
