"""SASRec of RecTools on MovieLens-100K, as the peer of `recsys_speed.py`; runs in an environment of its own.

    python -m venv peer && peer/bin/pip install torch==2.13.0 && peer/bin/pip install "rectools[torch]" torch==2.13.0
    peer/bin/python benchmarks/recsys_rectools.py DATA [--epochs 100] [--threads 1]

RecTools pulls `pm-implicit`, which overwrites implicit's package folder: never install it beside recloop. It learns
from train and validation items; d = 64, 2 blocks, length 50, batch 128, all else as RecTools has it.
Prints one line of JSON: seconds of fit, NDCG@10 of the test items among all items not seen, seconds to rank.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rectools
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, help="folder with u.data and loo/")
    options.add_argument("--epochs", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rows = pd.read_csv(arguments.data / "u.data", sep="\t", names=["user_id", "item_id", "rating", "timestamp"])
    test = pd.read_csv(arguments.data / "loo" / "test.tsv", sep="\t")
    valid = pd.read_csv(arguments.data / "loo" / "valid.tsv", sep="\t")
    held = pd.MultiIndex.from_frame(test[["user_id", "item_id"]])
    last = pd.MultiIndex.from_frame(valid[["user_id", "item_id"]])
    pairs = pd.MultiIndex.from_frame(rows[["user_id", "item_id"]])
    known = rows[~pairs.isin(held)].copy()
    # A validation item may share its second with others; it comes after all of them.
    known["late"] = pairs[~pairs.isin(held)].isin(last)
    known = known.sort_values(["timestamp", "late"], kind="stable")
    known["weight"], known["datetime"] = 1.0, pd.to_datetime(np.arange(len(known)), unit="s")
    dataset = Dataset.construct(known[[Columns.User, Columns.Item, Columns.Weight, Columns.Datetime]])
    model = SASRecModel(n_blocks=2, n_factors=64, session_max_len=50, batch_size=128, epochs=arguments.epochs, lr=1e-3)
    began = time.perf_counter()
    model.fit(dataset)
    fitted = time.perf_counter() - began
    began = time.perf_counter()
    lists = model.recommend(test["user_id"].unique(), dataset, k=10, filter_viewed=True)
    ranked = time.perf_counter() - began
    hits = lists.merge(test, on=["user_id", "item_id"])
    gained = float((1 / np.log2(hits["rank"].to_numpy() + 1)).sum() / len(test))
    print(
        json.dumps(
            {
                "peer": f"RecTools {rectools.__version__}",
                "torch": torch.__version__,
                "epochs": arguments.epochs,
                "threads": arguments.threads,
                "fit_s": round(fitted, 1),
                "ndcg@10": round(gained, 4),
                "recall@10": round(len(hits) / len(test), 4),
                "rank_s": round(ranked, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
