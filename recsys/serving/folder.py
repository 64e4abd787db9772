"""The folder of a trained model: parameters, the ids of its user and item codes, and facts of its training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...atomic import check_parents, disk_errors
from ...errors import ConfigError, DataError
from ..data.dataset import Dataset
from ..models.table import Storable, load, save

ITEMS, USERS, FACTS = "items.parquet", "users.parquet", "trained.json"


@dataclass(frozen=True)
class Trained:
    """A trained model. items: `item_id` and `title` by item code; users: `user_id` by user code; ids are text.

    facts: model, seed, data (its section of a study file), train and valid (fingerprints), learnt_from, figures.
    """

    model: Storable
    items: pd.DataFrame
    users: pd.DataFrame
    facts: Mapping[str, Any]
    folder: Path


def keep(fitted: Storable, train: Dataset, folder: Path, facts: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Writes a fitted model with the ids of `train` into `folder`, atomically.

    Raises ConfigError if the folder exists, unless it holds a model and `overwrite` is set; RunError for a full or
    read-only disk.
    """
    check_free(folder, overwrite)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        save(fitted, partial)
        with disk_errors(folder):
            items_of(train).to_parquet(partial / ITEMS, index=False)
            users_of(train).to_parquet(partial / USERS, index=False)
            (partial / FACTS).write_text(json.dumps(dict(facts), indent=1, default=str) + "\n", encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_free(folder: Path, overwrite: bool) -> None:
    """Raises ConfigError if a model may not or cannot be written to `folder`."""
    check_parents(folder)
    if not folder.exists():
        return
    if not (folder / FACTS).exists():
        raise ConfigError(f"{folder} exists already and holds no model that recloop wrote; choose another name")
    if not overwrite:
        raise ConfigError(
            f"{folder} exists already; choose another name, or replace it with `recloop train --overwrite`"
        )


def open_folder(folder: Path | str) -> Trained:
    """The model that `keep` wrote. DataError, naming the file, if one is missing, damaged or of another model."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; `recloop train` makes one")
    model = load(folder)
    if not (folder / FACTS).exists():
        raise DataError(f"{folder}: holds a model without the ids it was trained on; make it with `recloop train`")
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        items, users = pd.read_parquet(folder / ITEMS), pd.read_parquet(folder / USERS)
        sizes = (int(facts["n_items"]), int(facts["n_users"]))
        listed = (len(items[["item_id", "title"]]), len(users[["user_id"]]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: {FACTS}, {ITEMS} or {USERS} is missing or damaged ({error}); train again"
        ) from error
    if sizes != listed:
        raise DataError(f"{folder}: lists {listed} items and users, but was trained on {sizes}; train again")
    return Trained(model, items, users, facts, folder)


def facts_of(train: Dataset, valid: Dataset) -> dict[str, Any]:
    """Sizes and fingerprints that identify the data of a training."""
    return {
        "n_users": train.n_users,
        "n_items": train.n_items,
        "train": train.fingerprint,
        "valid": valid.fingerprint,
        "interactions": len(train),
    }


def items_of(data: Dataset) -> pd.DataFrame:
    return pd.DataFrame({"item_id": data.items["item_id"].astype(str), "title": data.items["title"].astype(str)})


def users_of(data: Dataset) -> pd.DataFrame:
    return pd.DataFrame({"user_id": data.users["user_id"].astype(str)})


def aligned(trained: Trained, data: Dataset, *, align: bool = False) -> tuple[Dataset, int]:
    """`data` in the codes of the model, and the number of its rows that were left out.

    Data with the model's ids in the same order is returned unchanged. Other data raises DataError unless `align` is
    set; then rows are mapped by id, and rows of users or items unknown to the model are left out. An id with another
    title than in training always raises DataError.
    """
    items, users = items_of(data), users_of(data)
    if items.equals(trained.items) and users.equals(trained.users):
        return data, 0
    if not align:
        raise DataError(
            f"dataset {data.name!r} has {len(users)} users and {len(items)} items that are not those of "
            f"{trained.folder} ({len(trained.users)} and {len(trained.items)}): {_difference(trained, items, users)}. "
            "Give the data it was trained on, train again, or align the data by id (--align)"
        )
    to_item = pd.Index(trained.items["item_id"]).get_indexer(pd.Index(items["item_id"]))
    to_user = pd.Index(trained.users["user_id"]).get_indexer(pd.Index(users["user_id"]))
    here, there = items["title"].to_numpy(), trained.items["title"].to_numpy()[to_item]
    other = np.flatnonzero((to_item >= 0) & (here != there) & (here != "") & (there != ""))
    if len(other):
        raise DataError(
            f"dataset {data.name!r}: item {items['item_id'][other[0]]!r} is {here[other[0]]!r} here and "
            f"{there[other[0]]!r} in {trained.folder}: these are other items; train on this data"
        )
    known = (to_item[data.item] >= 0) & (to_user[data.user] >= 0)
    rows = data.interactions[known]
    recoded = rows.assign(
        user=to_user[rows["user"].to_numpy()].astype(np.int32), item=to_item[rows["item"].to_numpy()].astype(np.int32)
    )
    return Dataset(data.name, recoded, trained.items, trained.users).with_(interactions=recoded), int((~known).sum())


def _difference(trained: Trained, items: pd.DataFrame, users: pd.DataFrame) -> str:
    for column, here, there in (("item_id", items, trained.items), ("user_id", users, trained.users)):
        new = here[column][~here[column].isin(there[column])]
        if len(new):
            return f"{column} {new.iloc[0]!r} is not known to the model"
    return "the ids stand in another order, or titles differ"
