"""Loads a log of MovieLens-20M's shape and reports seconds and peak memory against the bytes of the columns.

    python benchmarks/load_20m.py                   # makes the log in a temporary folder, about 500 MB, and removes it
    python benchmarks/load_20m.py --rows 2000000 --zip

The log is synthetic: 138,493 users, 26,744 items with a popularity skew, times in random order within a user.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

USERS, ITEMS, ROWS = 138_493, 26_744, 20_000_263


def make_log(folder: Path, rows: int, seed: int = 0) -> None:
    """Write ratings.csv and movies.csv as GroupLens does: sorted by user, then by item."""
    rng = np.random.default_rng([seed, 20])
    user = np.sort(rng.integers(1, USERS + 1, rows).astype(np.int32))
    item = (1 + ITEMS * rng.random(rows) ** 3).astype(np.int32)
    log = pa.table(
        {
            "userId": user,
            "movieId": item,
            "rating": (rng.integers(1, 11, rows) / 2).astype(np.float32),
            "timestamp": rng.integers(789_652_009, 1_427_784_002, rows),
        }
    )
    csv.write_csv(log, folder / "ratings.csv")
    movies = pd.DataFrame({"movieId": np.arange(1, ITEMS + 1)})
    movies["title"] = [f"Film {number} (1999)" for number in movies["movieId"]]
    movies["genres"] = "Drama|Comedy"
    movies.to_csv(folder / "movies.csv", index=False)


def measure(path: Path) -> dict[str, float]:
    """Load `path` in this process and say what it took; the peak is of the loading alone (imports are subtracted)."""
    from recloop.recsys.data import read_movielens

    before = peak_bytes()
    start = time.perf_counter()
    data = read_movielens(path)
    seconds = time.perf_counter() - start
    columns = int(data.interactions.memory_usage(index=False, deep=True).sum())
    peak = peak_bytes()
    return {
        "rows": len(data),
        "seconds": round(seconds, 1),
        "columns_mb": round(columns / 1e6),
        "peak_rss_mb": round(peak / 1e6),
        "imports_mb": round(before / 1e6),
        "peak_over_columns": round((peak - before) / columns, 2),
    }


def peak_bytes() -> int:
    """The highest resident memory this process has had (Linux gives KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--zip", action="store_true", help="read it from a zip, as published")
    options.add_argument("--make", type=Path, help="only write the log into this folder")
    options.add_argument("--measure", type=Path, help="only load this folder or zip, in this process")
    chosen = options.parse_args()
    if chosen.measure is not None:
        print(json.dumps(measure(chosen.measure)))
        return
    if chosen.make is not None:
        make_log(chosen.make, chosen.rows)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = path = Path(place) / "ml-20m"
        folder.mkdir()
        # Processes of their own: the peak of making the log would count as the peak of whoever made it, or its child.
        subprocess.run([sys.executable, __file__, "--rows", str(chosen.rows), "--make", str(folder)], check=True)
        if chosen.zip:
            path = folder.with_suffix(".zip")
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for file in folder.iterdir():
                    archive.write(file, f"ml-20m/{file.name}")
        subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)


if __name__ == "__main__":
    main()
