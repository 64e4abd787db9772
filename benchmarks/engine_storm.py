"""A storm of faults over a whole run: one record a task, few requests too many, a clean cache, no key anywhere.

    python benchmarks/engine_storm.py --users 20000        (about 40,000 calls)

The server refuses 20 % of the requests with 429, and fails with 500 (5 %), disconnects (3 %), stalls (3 %), malformed
bodies (5 %), truncated replies (3 %), refusals (2 %) and names that were never shown (2 %). A task writes a profile and
judges one set: two calls. The server wants an API key; every file that the run leaves, its log at level debug, its
output and its exceptions are searched for it, in plain, percent-encoded and base64 form.

Calls needed are those that had to be answered: two a task, and one more for each reply that was cut off, declined or
named what was not shown. 36 % of all requests are lost before they are answered, so no client can need fewer than
1 / 0.64 = 1.56 requests a call.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import logging
import os
import secrets
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine_world import Clock, served, verdict, world
from recloop.agents.chat.replies import Replies, read_replay
from recloop.errors import RecloopError
from recloop.logs import set_up_logs
from recloop.simulators.batch.records import read_records
from recloop.simulators.studies.agent_runner import open_runner
from recloop.simulators.studies.step_tools import CACHE
from recloop.simulators.studies.study import Study

FAULTS = {
    "error_429": 0.20,
    "error_500": 0.05,
    "disconnect": 0.03,
    "stall": 0.03,
    "malformed": 0.05,
    "truncated": 0.03,
    "refusal": 0.02,
    "unknown_handle": 0.02,
}
TASK = {"walk": 1, "rounds": 0, "candidates": 4, "set_size": 4, "stride": 4}
CALLS_A_TASK = 2
VARIABLE = "STORM_API_KEY"


def study(url: str, out: Path, in_flight: int) -> Study:
    llm = {"provider": "openai", "model": "loopback", "base_url": url, "api_key_env": VARIABLE}
    return Study.model_validate(
        {
            "name": "storm",
            "data": {"source": "bazaar"},
            "llm": {**llm, "concurrency": in_flight, "timeout": 3.0, "budget": {"calls": 10**9}},
            "memory": {"store": "process"},
            "out": out,
        }
    )


def weather(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    log = io.StringIO()
    set_up_logs("debug", as_json=True, stream=log)
    # What the libraries beneath us would log, too.
    logging.basicConfig(level=logging.DEBUG, stream=log)
    options = [part for name, rate in FAULTS.items() for part in ("--fault", f"{name}={rate}")]
    with served("--latency", arguments.latency, "--retry-after", 0.5, "--api-key-env", VARIABLE, *options) as server:
        storm_study, data = study(server.url, out, arguments.in_flight), world(arguments.users)

        async def run() -> Any:
            async with open_runner(storm_study, data) as opened:
                clock = Clock()
                _, folder = await opened.step("setwise", TASK, data, storm_study.folder / "agents" / "0")
                return opened.totals[folder.name], folder, clock.read()

        summary, folder, (wall, cpu) = asyncio.run(run())
        seen = server.seen()
        wrong_key = refused(server.url, out)
    records = read_records(folder)
    ok, needed = float((records["status"] == "ok").mean()), int(records["calls"].sum())
    files = [path for path in out.rglob("*") if path.is_file()]
    outputs = {"log": log.getvalue().encode(), "exception": wrong_key.encode(), "summary": str(summary).encode()}
    return {
        "tasks": arguments.users,
        "records": len(records),
        "keys": int(records["key"].nunique()),
        "status": records["status"].value_counts().to_dict(),
        "reasons": records.loc[records["status"] != "ok", "error"].str[:40].value_counts().head(5).to_dict(),
        "ok": ok,
        "calls_needed": needed,
        "replies_wanted": CALLS_A_TASK * arguments.users,
        "requests": seen["requests"],
        "requests_a_call": seen["requests"] / needed,
        "server": seen,
        "bad_in_cache": bad_in_cache(out),
        "cache_entries": entries(out),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files) + sum(map(len, outputs.values())),
        "log_lines": log.getvalue().count("\n"),
        "key_found": sum(keys_in(path.read_bytes()) for path in files) + sum(map(keys_in, outputs.values())),
        "wall_s": round(wall, 1),
        "cpu_ms_a_request": round(1000 * cpu / seen["requests"], 2),
    }


def keys_in(content: bytes) -> int:
    """How often the key stands there, in any usual spelling."""
    key = os.environ[VARIABLE]
    spellings = {key, quote(key), base64.b64encode(key.encode()).decode().rstrip("=")}
    return sum(content.count(spelling.encode()) for spelling in spellings)


def refused(url: str, out: Path) -> str:
    """What is raised, with all its causes, where the server refuses the key and spells it out."""
    import traceback

    right = os.environ[VARIABLE]
    os.environ[VARIABLE] = right + "-but-wrong"
    try:
        storm_study = study(url, out / "refused", 1)

        async def run() -> None:
            async with open_runner(storm_study, world(1)) as opened:
                await opened.step("setwise", TASK, world(1), storm_study.folder / "agents" / "0")

        asyncio.run(run())
    except RecloopError:
        return traceback.format_exc()
    finally:
        os.environ[VARIABLE] = right
    raise AssertionError("the server let a wrong key in")


def bad_in_cache(out: Path) -> int:
    """Replies kept that do not end by themselves or do not fit the schema that was asked for."""
    replay = out / "replay.jsonl"
    with Replies(out / CACHE) as replies:
        replies.export(replay)
    bad = 0
    for question, reply in read_replay(replay):
        value = json.loads(reply.text)
        wanted = question["schema"]["properties"]
        fits = set(value) == set(wanted) and reply.finish_reason == "stop"
        if fits and "ranking" in value:
            handles = question["schema"]["$defs"]["RankedItem"]["properties"]["item"]["enum"]
            fits = sorted(entry["item"] for entry in value["ranking"]) == sorted(handles)
        bad += not fits
    return bad


def entries(out: Path) -> int:
    with sqlite3.connect(out / CACHE) as connection:
        return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--users", type=int, default=2000, help="tasks")
    options.add_argument("--in-flight", type=int, default=64)
    options.add_argument("--latency", type=float, default=0.05)
    arguments = options.parse_args()
    os.environ[VARIABLE] = f"key-{secrets.token_urlsafe(24)}+/="
    with tempfile.TemporaryDirectory() as name:
        measured = weather(arguments, Path(name))
    print(json.dumps(measured))
    claims = [
        verdict("records a task, all with different keys", measured["keys"] / arguments.users, 1.0, least=True),
        verdict("records a task", measured["records"] / arguments.users, 1.0),
        verdict("share of tasks ok", measured["ok"], 0.99, least=True),
        verdict("requests a call needed", measured["requests_a_call"], 1.6),
        verdict("bad replies in the cache", measured["bad_in_cache"], 0),
        verdict("times the key was found", measured["key_found"], 0),
    ]
    for claim in claims:
        print(json.dumps(claim))
    sys.exit(not all(claim["holds"] for claim in claims))


if __name__ == "__main__":
    main()
