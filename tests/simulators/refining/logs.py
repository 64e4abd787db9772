"""Small logs for the tests of `refine`, in every form that it reads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
from recloop.recsys.data import Dataset, write_log
from recloop.recsys.data.bazaar import bazaar

FORMS = ("log.csv", "log.tsv", "log.csv.gz", "log.parquet", "rows.inter", "users.inter", "log.jsonl", "ratings.dat")


def shop() -> Dataset:
    return bazaar(seed=2, users=40, items=120, longest=20)


def log_at(folder: Path, name: str) -> tuple[Path, list[str]]:
    """A log of this name, whose ending says its form, and the settings it needs."""
    data, path = shop(), folder / name
    folder.mkdir(parents=True, exist_ok=True)
    items = folder / "items.csv"
    data.items.to_csv(items, index=False)
    settings = [f"data.items={items}"]
    if name == "users.inter":
        write_log(data, path, {"user_id": "user_id", "item_id_list": "item_id_list", "item_id": "item_id"})
    elif name == "log.csv.gz":
        write_log(data, folder / "log.csv")
        path.write_bytes(gzip.compress((folder / "log.csv").read_bytes()))
    elif name == "log.jsonl":
        rows = rows_of(data)
        names = {"user_id": "reviewerID", "item_id": "asin", "value": "overall", "timestamp": "unixReviewTime"}
        lines = [
            json.dumps({names[k]: v for k, v in row.items()} | {"note": "n\u00e9"}) for row in rows.to_dict("records")
        ]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    elif name == "ratings.dat":
        rows = rows_of(data)
        path.write_text("".join("::".join(map(str, row)) + "\n" for row in rows.itertuples(index=False)))
        settings += ['data.separator="::"', "data.columns={user_id: 0, item_id: 1, value: 2, timestamp: 3}"]
    else:
        write_log(data, path)
    return path, settings


def rows_of(data: Dataset) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": data.users["user_id"].to_numpy()[data.user],
            "item_id": data.items["item_id"].to_numpy()[data.item],
            "value": data.value.astype(int),
            "timestamp": data.timestamp,
        }
    )
