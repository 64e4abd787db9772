"""Twenty kills (-9) at random moments: the records equal those of a run that was let alone, and what was repeated.

    python benchmarks/engine_kills.py [--kills 20] [--users 1500] [--seed 0]

The whole set-wise loop with chroma memory, reply cache, budget and parts, as `recloop run` does a step. A repeated call
is a request beyond those of the run that was let alone; a kill may cost what was in flight then, at most 24 calls. The
account must count every request that was sent; what it holds as lost at a kill is what was in flight by its books.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from engine_world import Server, served, verdict, world
from recloop.simulators.batch.records import finished_keys, read_records
from recloop.simulators.batch.usage import usage
from recloop.simulators.studies.agent_runner import open_runner
from recloop.simulators.studies.study import Study

WALK = {"walk": 1, "rounds": 1}
IN_FLIGHT = 24
BUDGET = 10**7


def study(url: str, out: Path) -> Study:
    llm = {"provider": "openai", "model": "loopback", "base_url": url, "concurrency": IN_FLIGHT}
    return Study.model_validate(
        {
            "name": "kills",
            "data": {"source": "bazaar"},
            "llm": {**llm, "budget": {"calls": BUDGET}},
            "out": out,
        }
    )


def run(url: str, out: Path, users: int) -> None:
    question, data = study(url, out), world(users)

    async def go() -> None:
        async with open_runner(question, data) as opened:
            await opened.step("setwise", WALK, data, question.folder / "agents" / "0")

    asyncio.run(go())


def records(out: Path) -> pd.DataFrame:
    [folder] = (out / "kills" / "agents").glob("*")
    return read_records(folder).drop(columns="seconds")


def started(server: Server, out: Path, users: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--run", server.url, str(out), "--users", str(users)])


def killed(
    server: Server, out: Path, users: int, kills: int, longest: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Start, wait until it asks, wait at most `longest` seconds more, kill; at last let it end."""
    done: list[int] = []
    for _ in range(kills):
        program, before = started(server, out, users), server.seen().get("requests", 0)
        while server.seen().get("requests", 0) == before and program.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, longest))
        program.kill()
        program.wait()
        [folder] = (out / "kills" / "agents").glob("*")
        done.append(len(finished_keys(folder)))
    if started(server, out, users).wait() != 0:
        raise RuntimeError("the last run did not end well")
    return {"finished_at_kills": done}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--users", type=int, default=1500, help="tasks")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--run", nargs=2, metavar=("URL", "OUT"), help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.run is not None:
        return run(arguments.run[0], Path(arguments.run[1]), arguments.users)
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole", Path(name) / "killed"
        with served("--latency", 0.05) as server:
            whole_run = started(server, whole, arguments.users)
            while not server.seen().get("requests", 0):
                time.sleep(0.02)
            began = time.monotonic()
            if whole_run.wait() != 0:
                raise RuntimeError("the run that nobody kills did not end well")
            # So that the kills together fall on most of the work, and none behind its end.
            longest = 1.5 * (time.monotonic() - began) / (arguments.kills + 1)
            needed = server.seen()["requests"]
        with served("--latency", 0.05) as server:
            told_of = killed(
                server, cut, arguments.users, arguments.kills, longest, np.random.default_rng(arguments.seed)
            )
            requests = server.seen()["requests"]
        equal = records(whole).equals(records(cut))
        account_calls = sum(spent.calls for spent in usage(cut / "kills").values())
        lost = usage(cut / "kills").get("(lost at a kill)")
    measured = {
        "tasks": arguments.users,
        "kills": arguments.kills,
        "calls_needed": needed,
        "requests": requests,
        "repeated": requests - needed,
        "counted_in_account": account_calls,
        "counted_as_lost": lost.calls if lost else 0,
        **told_of,
    }
    print(json.dumps(measured))
    midway = sum(finished < arguments.users for finished in told_of["finished_at_kills"])
    claims = [
        verdict("records equal the uninterrupted run's", float(equal), 1.0, least=True),
        verdict("repeated calls, beside the most in flight", requests - needed, IN_FLIGHT * arguments.kills),
        verdict("requests that the account does not know", requests - account_calls, 0),
        verdict("kills in the middle of the work", midway, arguments.kills, least=True),
    ]
    for claim in claims:
        print(json.dumps(claim))
    sys.exit(not all(claim["holds"] for claim in claims))


if __name__ == "__main__":
    main()
