"""A server that goes away in mid-run, and one that queues without ever refusing.

    python benchmarks/engine_outage.py outage [--away 30]
    python benchmarks/engine_outage.py queue [--seconds 25]

outage: all requests fail (503, then broken connections) for 30 s; the run has to complete with nothing failed, and the
server counts how often it was asked while it was away. queue: a server that works on 32 requests at once and lets the
others wait, as vLLM does, with a deadline that a long queue would pass; throughput under adaptive concurrency (at most
256) beside that of fixed concurrencies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine_world import Server, served, verdict, world
from recloop.agents.chat.handles import handles_for, ranking_reply
from recloop.agents.chat.limited import limited
from recloop.agents.chat.openai_chat import openai_chat
from recloop.agents.chat.retried import retried
from recloop.agents.chat.types import Chat, Message, Request, Sampling
from recloop.simulators.studies.agent_runner import open_runner
from recloop.simulators.studies.study import Study

TASK = {"walk": 1, "rounds": 0}
CAPACITY, LATENCY, TIMEOUT, MOST = 32, 0.2, 2.0, 256
FIXED = (16, 32, 64, 128)


def outage(users: int, away: float) -> list[dict[str, Any]]:
    with served("--latency", 0.1) as server, tempfile.TemporaryDirectory() as name:
        llm = {"provider": "openai", "model": "loopback", "base_url": server.url, "concurrency": 32}
        outage_study = Study.model_validate(
            {
                "name": "outage",
                "data": {"source": "bazaar"},
                "llm": llm,
                "memory": {"store": "process"},
                "out": Path(name),
            }
        )
        data, server_counts = world(users), {}

        async def trouble() -> None:
            while server.seen().get("requests", 0) < users:
                await asyncio.sleep(0.2)
            server_counts["before"] = server.seen()["requests"]
            for kind in ("error_503", "disconnect"):
                server.tell(away=kind)
                await asyncio.sleep(away / 2)
            server_counts["while_away"] = server.seen()["requests"] - server_counts["before"]
            server.tell(away="")
            server_counts["back"] = time.monotonic()

        async def run() -> Any:
            async with open_runner(outage_study, data) as opened:
                began = time.monotonic()
                weather = asyncio.create_task(trouble())
                _, folder = await opened.step("setwise", TASK, data, outage_study.folder / "agents" / "0")
                await weather
                return opened.totals[folder.name], began, time.monotonic()

        summary, began, ended = asyncio.run(run())
        seen = server.seen()
    measured = {
        "tasks": summary.tasks,
        "ok": summary.ok,
        "failed": summary.failed,
        "calls": summary.calls,
        "requests": seen["requests"],
        "requests_while_away": server_counts["while_away"],
        "wall_s": round(ended - began, 1),
        "away_s": away,
    }
    print(json.dumps(measured))
    return [
        verdict("failed tasks", summary.failed, 0),
        verdict("tasks ok", summary.ok / users, 1.0, least=True),
    ]


def queue(seconds: float) -> list[dict[str, Any]]:
    rates: dict[str, float] = {}
    for concurrency in (*FIXED, 0):
        with served("--latency", LATENCY, "--spread", 0.2, "--capacity", CAPACITY, "--queueing") as server:
            rates[str(concurrency or "adaptive")] = asyncio.run(rate(server, concurrency, seconds))
    print(json.dumps({"capacity": CAPACITY, "ideal": CAPACITY / LATENCY, "calls_per_s": rates}))
    best = max(rate for name, rate in rates.items() if name != "adaptive")
    return [verdict("adaptive beside the best fixed concurrency", rates["adaptive"] / best, 0.90, least=True)]


async def rate(server: Server, concurrency: int, seconds: float) -> float:
    """Good answers a second over the second half of the time; a concurrency of 0 finds its own, up to MOST."""
    plain = openai_chat(
        "loopback", base_url=server.url, api_key_env=None, timeout=TIMEOUT, concurrency=concurrency or MOST
    )
    # Without a deadline to go by, the pace stays where it is: that is the fixed one.
    held = limited(plain, concurrency=concurrency or MOST, timeout=None if concurrency else TIMEOUT)
    chat = retried(held, attempts=10)
    began = time.monotonic()
    done: list[float] = []
    jobs = [asyncio.create_task(keep_asking(chat, n, began + seconds, done)) for n in range(concurrency or MOST)]
    await asyncio.sleep(seconds)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    return round(sum(at >= began + seconds / 2 for at in done) / (seconds / 2), 1)


async def keep_asking(chat: Chat, worker: int, until: float, done: list[float]) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        await chat(question(f"{worker}.{number}"))
        done.append(time.monotonic())


def question(name: str) -> Request:
    messages = (Message("system", "You judge."), Message("user", f"Question {name}: rank the items."))
    return Request(messages, schema=ranking_reply(handles_for(4)), sampling=Sampling(max_tokens=256))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("which", choices=["outage", "queue"])
    options.add_argument("--users", type=int, default=600, help="tasks of the run that meets the outage; 6 calls each")
    options.add_argument("--away", type=float, default=30.0)
    options.add_argument("--seconds", type=float, default=25.0, help="of each concurrency tried")
    arguments = options.parse_args()
    claims = outage(arguments.users, arguments.away) if arguments.which == "outage" else queue(arguments.seconds)
    for claim in claims:
        print(json.dumps(claim))
    sys.exit(not all(claim["holds"] for claim in claims))


if __name__ == "__main__":
    main()
