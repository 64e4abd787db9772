"""Selective guidance by an LLM's pair scores: does a gate hear it where it is reliable, and does that help?

Parts, each resumable and ended by `--minutes`:

    python lab/selective.py collapse      # the mean of each gate over training: the paper's falls
    python lab/selective.py bazaar        # a planted LLM: right for cold users and tail items; wrong everywhere
    python lab/selective.py overhead      # an epoch with the term and without it
    python lab/selective.py taste         # recorded scores of a real LLM, 80 users of ml-latest-small
    python lab/selective.py tune          # lambda and epochs, on the validation side
    python lab/selective.py table         # 8 models x 7 rows x 3 seeds, `offline` as the LLM, two data sets
    python lab/selective.py report        # that table, from what is kept
    python lab/selective.py reliability   # how often `offline` and the recorded LLM are right, by decile

Everything is kept in `--out`; a second call goes on where the first one ended. Machine readable results lie beside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

import torch
from selective_cells import DATA, MODELS, ROWS, SHARED, TABLE, Cell, offline_scores, train_cell
from selective_overhead import overhead
from selective_parts import bazaar, collapse
from selective_report import reliabilities, report
from selective_taste import taste

PARTS = ("collapse", "bazaar", "overhead", "taste", "tune", "table", "report", "reliability")
WEIGHT = 0.1
WEIGHTS = (0.01, 0.03, 0.1, 0.3)
TUNED_ON = ("bpr", "sasrec", "deepfm", "dcnv2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with ml-100k and ml-latest-small")
    parser.add_argument("--out", type=Path, default=Path("runs/selective"))
    parser.add_argument("--figures", type=Path, default=Path(__file__).parent / "figures")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--models", nargs="+", choices=[*MODELS, "lightgcn"], default=list(MODELS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(TABLE))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=8.0, help="begin no further training after this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--weight", type=float, default=None, help="lambda; what `tune` chose, or .1")
    chosen = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, torch {torch.__version__}, Python {platform.python_version()}, one thread a "
        f"training, load average {os.getloadavg()[0]:.1f} at the start.\n"
    )
    began = time.perf_counter()
    until, lambdas = began + 60 * chosen.minutes, weights_of(chosen)
    {
        "collapse": lambda: collapse(chosen.shared, chosen.out, chosen.figures),
        "bazaar": lambda: bazaar(chosen.out, chosen.figures, chosen.seeds, until),
        "overhead": lambda: overhead(chosen.shared, chosen.out, chosen.models, epochs=2),
        "taste": lambda: taste(chosen.shared, chosen.out, lambdas["ml-latest-small"], chosen.seeds, until),
        "tune": lambda: tune(chosen, began),
        "table": lambda: table(chosen, began),
        "report": lambda: report(chosen.shared, chosen.out, chosen.figures, lambdas),
        "reliability": lambda: reliabilities(chosen.shared, chosen.out, chosen.figures),
    }[chosen.part]()
    print(f"\n{time.perf_counter() - began:.0f} s")


def table(chosen: argparse.Namespace, began: float) -> None:
    weights = weights_of(chosen)
    cells = [
        Cell(data, name, row, seed, weights[data])
        for seed, data, name, row in itertools.product(range(chosen.seeds), chosen.data, chosen.models, chosen.rows)
    ]
    work(cells, chosen, began)


def tune(chosen: argparse.Namespace, began: float) -> None:
    """Lambda of a data set by the validation users who choose the epoch: the mean over four models and two rows."""
    cells = [
        Cell(data, name, row, 100, weight)
        for data, name, weight, row in itertools.product(chosen.data, TUNED_ON, WEIGHTS, ("global", "held_out"))
    ]
    work(cells, chosen, began)
    best = {}
    for data in chosen.data:
        mean = {}
        for weight in WEIGHTS:
            mine = [cell for cell in cells if cell.data == data and cell.weight == weight]
            ndcg_values = [
                json.loads((chosen.out / "cells" / f"{cell.stem}.json").read_text())["valid"] for cell in mine
            ]
            mean[weight] = sum(ndcg_values) / len(ndcg_values)
            cells_text = ", ".join(
                f"{cell.model} {cell.row} {v:.4f}" for cell, v in zip(mine, ndcg_values, strict=True)
            )
            print(f"{data}, lambda {weight:g}: mean {mean[weight]:.4f} ({cells_text})")
        best[data] = max(mean, key=mean.__getitem__)
    (chosen.out / "weights.json").write_text(json.dumps(best) + "\n")
    print(f"chosen: {best}")


def weights_of(chosen: argparse.Namespace) -> dict[str, float]:
    file = chosen.out / "weights.json"
    tuned = json.loads(file.read_text()) if file.exists() else {}
    return {name: chosen.weight if chosen.weight is not None else tuned.get(name, WEIGHT) for name in DATA}


def work(cells: list[Cell], chosen: argparse.Namespace, began: float) -> None:
    """Every cell that is not there yet, while there is time."""
    for name in dict.fromkeys(cell.data for cell in cells):
        offline_scores(name, chosen.shared, chosen.out)
    waiting = [cell for cell in cells if not (chosen.out / "cells" / f"{cell.stem}.json").exists()]
    print(f"{len(cells) - len(waiting)} of {len(cells)} trainings are there already.", flush=True)
    left, running = iter(waiting), set()
    with ProcessPoolExecutor(chosen.workers) as pool:
        while True:
            while len(running) < chosen.workers and time.perf_counter() - began < 60 * chosen.minutes:
                cell = next(left, None)
                if cell is None:
                    break
                running.add(pool.submit(train_cell, cell, chosen.shared, chosen.out))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
    still = [cell for cell in waiting if not (chosen.out / "cells" / f"{cell.stem}.json").exists()]
    print(f"{len(waiting) - len(still)} trained, {len(still)} left.", flush=True)
    if chosen.part == "table" and len(waiting) > len(still):
        progress_line = {
            "seconds": time.perf_counter() - began,
            "trained": len(waiting) - len(still),
            "workers": chosen.workers,
        }
        with (chosen.out / "runs.jsonl").open("a") as log:
            log.write(json.dumps(progress_line) + "\n")
    if still and chosen.part == "tune":
        raise SystemExit("not all are trained yet; run the same again")


if __name__ == "__main__":
    main()
