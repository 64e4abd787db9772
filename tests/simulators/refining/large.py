"""A log of any size and `refine` on it under a limit of memory, in a process of its own.

python large.py write PATH ROWS            python large.py refine LOG OUT LIMIT_MB [KEY=VALUE ...]

LIMIT_MB is the address space the process may take beyond what it has when a refine of 400 rows is behind it, so that
modules do not count; 0 sets no limit. Prints JSON: seconds, peak_mb and one_part_mb (resident, beyond the same mark:
of the refine in parts, and after the same log in one part), rows, and what became of it in one part.

Set ARROW_DEFAULT_MEMORY_POOL=system and MALLOC_ARENA_MAX=1: allocators that reserve address space by the gigabyte meet
the limit with nothing in them.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ITEMS = 2_000
PATIENCE = 240
"""Seconds after which a refine is stuck: it prints the stacks of its threads and ends."""
EACH = 20
"""Interactions of a user."""


def write(path: Path, rows: int) -> None:
    """Users' rows are spread over the whole file, as in a log by time; items by Zipf."""
    odds = 1 / (np.arange(ITEMS) + 10.0)
    odds /= odds.sum()
    users = rows // EACH
    with path.open("w") as file:
        file.write("user_id,item_id,rating,timestamp,device\n")
        for part in range(EACH):
            rng = np.random.default_rng([7, part])
            frame = pd.DataFrame(
                {
                    "user": np.char.add("user-", rng.permutation(users).astype(str)),
                    "item": np.char.add("item-", rng.choice(ITEMS, users, p=odds).astype(str)),
                    "rating": rng.integers(1, 6, users),
                    "timestamp": 1_600_000_000 + part * 1_000_000 + np.arange(users),
                    "device": "web",
                }
            )
            frame.to_csv(file, header=False, index=False)


def write_items(path: Path) -> None:
    """A title of every item: steps that judge by texts find something to judge."""
    titles = [f"wooden toy number {item} of kind{item % 40}" for item in range(ITEMS)]
    pd.DataFrame({"item_id": [f"item-{item}" for item in range(ITEMS)], "title": titles}).to_csv(path, index=False)


def refined(log: Path, out: Path, limit: int, settings: list[str]) -> dict[str, float | str]:
    """Refines `log` into `out` under the limit, in the parts that the settings say, and then tries it in one part."""
    from recloop.errors import RecloopError
    from recloop.simulators.refining.refine import refine

    small = out.with_name(f"small-{out.name}")
    write(small, 400)
    refine(small, out.with_name(f"warm-{out.name}"), settings=settings)
    if limit:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + limit * 2**20,) * 2)
    before, began = _peak(), time.monotonic()
    rows = refine(log, out, settings=settings).rows["written"]
    outcome = {"seconds": round(time.monotonic() - began, 1), "peak_mb": round(_peak() - before), "rows": rows}
    try:
        refine(log, out.with_name(f"one-{out.name}"), settings=[*settings, "block_mb=10000"])
    except RecloopError as refused:
        return {**outcome, "in_one_part": str(refused)}
    return {**outcome, "one_part_mb": round(_peak() - before), "in_one_part": "done"}


def _peak() -> float:
    # Not ru_maxrss: a child begins with that of the process that started it.
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    verb, path, *rest = sys.argv[1:]
    if verb == "write":
        write(Path(path), int(rest[0]))
        return
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    print(json.dumps(refined(Path(path), Path(rest[0]), int(rest[1]), rest[2:])))


if __name__ == "__main__":
    main()
