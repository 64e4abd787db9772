"""A log of any size and `refine` on it under a limit of memory, in a process of its own.

python large.py write PATH ROWS            python large.py refine LOG OUT LIMIT_MB [KEY=VALUE ...]
python large.py read LOG LIMIT_MB          (the whole log as one table: what the limit does not allow)

Prints JSON: seconds, peak memory in MB, rows.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

ITEMS = 5_000
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


def limited(megabytes: int) -> None:
    """No more address space than this process has now and so many megabytes."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20,) * 2)


def main() -> None:
    verb, path, *rest = sys.argv[1:]
    began, rows = time.monotonic(), 0
    if verb == "write":
        write(Path(path), int(rest[0]))
    elif verb == "read":
        from recloop.recsys.data.tables import read_table

        limited(int(rest[0]))
        rows = len(read_table(path))
    else:
        # What is imported on the way would count as well; it is not what the limit is about.
        for module in ("recloop.agents.memory.tfidf", "sklearn.decomposition", "sklearn.feature_extraction.text"):
            importlib.import_module(module)
        from recloop.simulators.refine import refine

        limited(int(rest[1]))
        rows = refine(path, rest[0], settings=rest[2:]).rows["written"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.monotonic() - began, 1), "peak_mb": round(peak), "rows": rows}))


if __name__ == "__main__":
    main()
