"""Seconds of the recommenders on MovieLens-100K beside a peer's, in one run on one machine.

    python benchmarks/recsys_speed.py --peer PEER_PYTHON [--threads 1] [--epochs 100]

PEER_PYTHON is the Python of an environment with RecTools (`recsys_rectools.py` says how to make it). First an epoch of
BPR, LightGCN and GRU4Rec and one evaluation, then SASRec, theirs and ours. `to_peer_s` is the time to the peer's
accuracy: seconds of training on train and validation, which the peer learns from, until the test NDCG@10 is the peer's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from recloop.recsys.data import Split, together
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation import evaluate
from recloop.recsys.models import FitContext, model

HERE = Path(__file__).resolve()
BOUNDS = {"bpr": 0.15, "lightgcn": 0.5, "gru4rec": 7.0}
"""Seconds an epoch."""
EVALUATION = 0.03
OF_PEER = 0.5
CLOCK = 40
"""Epochs that the time to the peer's accuracy is looked for in."""


def ours(split: Split, threads: int, seed: int, enough: float) -> dict[str, Any]:
    """SASRec as it comes, and the seconds until it is worth `enough`.

    The second is a clock alone: it learns from what the peer learns from, the test side is looked at after each epoch,
    and nothing is chosen by it. The figure after the clock has stopped is the lowest of the epochs that follow.
    """
    at = FitContext(seed=seed, threads=threads)
    whole = model("sasrec")
    began = time.perf_counter()
    whole.fit(split.train, split.valid, at)
    fit = time.perf_counter() - began
    log = whole.log  # type: ignore[attr-defined]
    row: dict[str, Any] = {
        "fit_s": round(fit, 1),
        "epochs": len(log.epochs),
        "epoch_s": round(statistics.median(line.seconds for line in log.epochs), 2),
        "ndcg@10": round(evaluate(whole, split, metrics=["ndcg@10"]).mean("ndcg@10"), 4),
    }
    clock = model("sasrec", epochs=CLOCK, patience=CLOCK, evaluate_every=1)
    clock.fit(together(split.train, split.valid), split.test, at)
    lines = clock.log.epochs  # type: ignore[attr-defined]
    reached = next((at for at, line in enumerate(lines) if line.validation >= enough), None)
    if reached is None:
        return row
    return row | {
        "epochs_to_peer": reached + 1,
        "to_peer_s": round(sum(line.seconds for line in lines[: reached + 1]), 1),
        "to_peer_ndcg@10": round(lines[reached].validation, 4),
        "lowest_after": round(min(line.validation for line in lines[reached:]), 4),
        "last": round(lines[-1].validation, 4),
    }


def epoch_of(name: str, split: Split, threads: int, epochs: int) -> dict[str, Any]:
    """The median epoch after the first, without evaluation."""
    trained = model(name, epochs=epochs)
    trained.fit(split.train, None, FitContext(threads=threads))
    seconds = [line.seconds for line in trained.log.epochs[1:]]  # type: ignore[attr-defined]
    return {"model": name, "epoch_s": round(statistics.median(seconds), 3), "bound": BOUNDS[name]}


def evaluation(split: Split, threads: int) -> dict[str, Any]:
    """Scoring and ranking 943 users over 1,682 items by a factor model."""
    fitted = model("bpr", epochs=1)
    fitted.fit(split.train, None, FitContext(threads=threads))
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        evaluate(fitted, split, metrics=["recall@10", "ndcg@10"])
        taken.append(time.perf_counter() - began)
    return {"evaluation_s": round(statistics.median(taken), 4), "best": round(min(taken), 4), "bound": EVALUATION}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = HERE.parents[2] / "shared" / "data" / "ml-100k"
    options.add_argument("--data", type=Path, default=data, help="folder with u.data and loo/")
    options.add_argument("--peer", type=Path, help="the Python of an environment with RecTools")
    options.add_argument("--epochs", type=int, default=100, help="of the peer")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    split = given(
        read_movielens(arguments.data), arguments.data / "loo" / "valid.tsv", arguments.data / "loo" / "test.tsv"
    )
    print(json.dumps({"load": os.getloadavg()[0], "cores": os.cpu_count(), "threads": arguments.threads}), flush=True)
    holds = []
    for name in BOUNDS:
        row = epoch_of(name, split, arguments.threads, 4 if name == "gru4rec" else 15)
        holds.append(row["epoch_s"] <= row["bound"])
        print(json.dumps(row), flush=True)
    row = evaluation(split, arguments.threads)
    holds.append(row["evaluation_s"] <= row["bound"])
    print(json.dumps(row), flush=True)
    if arguments.peer is not None:
        words = [
            arguments.peer,
            HERE.with_name("recsys_rectools.py"),
            arguments.data,
            "--epochs",
            str(arguments.epochs),
        ]
        peer = subprocess.run(
            [*words, "--threads", str(arguments.threads), "--seed", str(arguments.seed)],
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = json.loads(peer.stdout.strip().rpartition("\n")[2])
        print(json.dumps(theirs), flush=True)
        mine = ours(split, arguments.threads, arguments.seed, theirs["ndcg@10"])
        ratio = mine.get("to_peer_s", float("inf")) / theirs["fit_s"]
        holds.append(ratio <= OF_PEER)
        print(
            json.dumps(
                {"ours": mine, "of_peer": round(ratio, 3), "whole_of_peer": round(mine["fit_s"] / theirs["fit_s"], 3)}
            )
        )
    sys.exit(not all(holds))


if __name__ == "__main__":
    main()
