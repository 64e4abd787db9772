"""How busy the engine keeps a server, through the whole set-wise loop: graph, structured reply, cache, records.

    python benchmarks/engine_throughput.py                                   64 in flight on a 250 ms server, 1 process
    python benchmarks/engine_throughput.py --in-flight 256 --latency 0.5 --processes 2
    python benchmarks/engine_throughput.py --memory --users 100000           resident memory over 100,000 tasks
    python benchmarks/engine_throughput.py --store chroma                    memories kept on disk, as by default
    python benchmarks/engine_throughput.py --latency 0 --profile 40          where the CPU goes (cProfile)

The server is a process of its own on the same machine. The ideal is in flight / latency. Throughput is counted by the
server between the moments when a tenth and nine tenths of the calls are made, and beside it over the whole run, where
the last tasks end one after another. CPU is of the client's processes, from the first task to the written summary.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine_world import Clock, Server, resident_mb, served, verdict, world
from recloop.simulators.batch.progress import Standing
from recloop.simulators.studies.agent_runner import open_runner
from recloop.simulators.studies.study import Study

WALK = {"candidates": 10, "set_size": 4, "stride": 2, "walk": 2, "rounds": 1}
"""The set-wise loop at its usual width (5 calls side by side), walked shorter: about 17 calls a task."""
ONE = {"walk": 0}
"""One call a task: what a task itself costs, and a hundred thousand of them in minutes."""


@dataclass
class Memory:
    """A watcher that notes the resident memory at every standing."""

    seen: list[tuple[int, float]] = field(default_factory=list)

    def show(self, standing: Standing) -> None:
        self.seen.append((standing.done, resident_mb()))

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def close(self) -> None:
        pass


def study(url: str, in_flight: int, out: Path, name: str, store: str) -> Study:
    return Study.model_validate(
        {
            "name": name,
            "data": {"source": "bazaar"},
            "llm": {"provider": "openai", "model": "loopback", "base_url": url, "concurrency": in_flight},
            "memory": {"store": store},
            "out": out,
        }
    )


def work(
    url: str, in_flight: int, users: int, out: str, share: int, settings: dict[str, Any], store: str
) -> dict[str, Any]:
    """One process's run of `users` tasks; each share has users, and so questions, of its own."""
    data, watch = world(users, seed=share), Memory()
    question = study(url, in_flight, Path(out), f"share-{share}", store)

    async def run() -> Any:
        async with open_runner(question, data, watch) as opened:
            clock = Clock()
            _, folder = await opened.step("setwise", settings, data, question.folder / "agents" / "0")
            return opened.totals[folder.name], clock.read()

    summary, (wall, cpu) = asyncio.run(run())
    return {
        "calls": summary.calls,
        "ok": summary.ok,
        "tasks": summary.tasks,
        "wall": wall,
        "cpu": cpu,
        "mb": watch.seen,
    }


@dataclass
class Pace(threading.Thread):
    """Asks the server twice a second how many requests it has had."""

    server: Server
    every: float = 0.5

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int]] = []
        self.ended = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while not self.ended.wait(self.every):
            self.seen.append((time.monotonic(), self.server.seen().get("requests", 0)))

    def middle(self, total: int) -> float:
        """Requests a second between a tenth and nine tenths of `total`."""
        window = [(at, count) for at, count in self.seen if 0.1 * total <= count <= 0.9 * total]
        if len(window) < 2:
            return float("nan")
        (first, low), (last, high) = window[0], window[-1]
        return (high - low) / (last - first)


def measure(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    settings = ONE if arguments.memory else WALK
    each, share = arguments.users // arguments.processes, arguments.in_flight // arguments.processes
    with served("--latency", arguments.latency) as server:
        pace = Pace(server)
        pace.start()
        if arguments.processes == 1:
            done = [work(server.url, share, each, str(out), 0, settings, arguments.store)]
        else:
            with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
                jobs = [
                    pool.submit(work, server.url, share, each, str(out), n, settings, arguments.store)
                    for n in range(arguments.processes)
                ]
                done = [job.result() for job in jobs]
        pace.ended.set()
        seen, server_cpu = server.seen(), server.cpu()
    calls = sum(part["calls"] for part in done)
    wall = max(part["wall"] for part in done)
    ideal = arguments.in_flight / arguments.latency if arguments.latency else float("nan")
    middle = pace.middle(calls)
    return {
        "in_flight": arguments.in_flight,
        "latency_s": arguments.latency,
        "processes": arguments.processes,
        "store": arguments.store,
        "tasks": sum(part["tasks"] for part in done),
        "ok": sum(part["ok"] for part in done),
        "calls": calls,
        "most_in_flight": seen["most_in_flight"],
        "wall_s": round(wall, 1),
        "calls_per_s": round(middle, 1),
        "whole_run_calls_per_s": round(calls / wall, 1),
        "of_ideal": round(middle / ideal, 3),
        "cpu_ms_a_call": round(1000 * sum(part["cpu"] for part in done) / calls, 2),
        "server_cpu_ms_a_call": round(1000 * server_cpu / calls, 2),
        "memory_mb": growth(done[0]["mb"]),
    }


def growth(seen: list[tuple[int, float]]) -> dict[str, Any]:
    """Resident memory once the run is warm (a twentieth of its tasks are done), at its end, its highest, by tenths."""
    warm = [mb for done, mb in seen if done >= seen[-1][0] / 20] or [seen[-1][1]]
    return {
        "warm": round(warm[0]),
        "end": round(warm[-1]),
        "most": round(max(warm)),
        "growth": round(max(warm) - warm[0]),
        "by_tenths": [round(next(mb for done, mb in seen if done >= seen[-1][0] * n / 10)) for n in range(11)],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--users", type=int, default=1500, help="tasks")
    options.add_argument("--in-flight", type=int, default=64)
    options.add_argument("--latency", type=float, default=0.25)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--store", choices=("process", "chroma"), default="process", help="where agents remember")
    options.add_argument("--memory", action="store_true", help="one call a task, to look at the memory of many tasks")
    options.add_argument("--profile", type=int, default=0, help="show so many functions of one process's profile")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        measured = measure(arguments, Path(name))
        if arguments.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(arguments.profile)
    print(json.dumps(measured))
    claims = [verdict("CPU ms a call", measured["cpu_ms_a_call"], 4)]
    if arguments.memory:
        claims.append(verdict("memory growth, MB", measured["memory_mb"]["growth"], 50))
    elif arguments.latency:
        bound = 0.93 if arguments.in_flight <= 64 else 0.75
        claims.append(verdict("share of the ideal throughput", measured["of_ideal"], bound, least=True))
    for claim in claims:
        print(json.dumps(claim))
    sys.exit(not all(claim["holds"] for claim in claims) and not arguments.profile)


if __name__ == "__main__":
    main()
