"""Worlds for the tests of agents: small bazaars whose held-out sides are known, marked or exchanged."""

from __future__ import annotations

import numpy as np
from recloop.recsys.data import Dataset, Split
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.data.data_config import DataConfig
from recloop.recsys.data.splits import leave_last_out

CANARY = "zzyzxcanary"


def small_world(users: int = 10, items: int = 60) -> Dataset:
    """Histories of 8 to 14 items; with leave-last-out some items occur on the held-out sides only."""
    return bazaar(seed=5, users=users, items=items, longest=14, shortest=8)


def with_canary(data: Dataset) -> Dataset:
    """`data` with the canary in title, categories and description of the items that leave-last-out holds out wholly."""
    hidden = held_out_only(leave_last_out(data))
    items = data.items.copy()
    for column in ("title", "categories", "description"):
        items[column] = [f"{t} {CANARY}" if h else t for t, h in zip(items[column].fillna(""), hidden, strict=True)]
    return data.with_(items=items)


def held_out_only(split: Split) -> np.ndarray:
    """(n_items,) true for items with held-out interactions and none in train."""
    return (split.train.item_counts == 0) & (split.valid.item_counts + split.test.item_counts > 0)


def with_another_future(data: Dataset) -> Dataset:
    """`data` with other items, unseen by the user, in the rows that leave-last-out holds out; train stays as it is."""
    frame, rng = data.interactions.copy(), np.random.default_rng(11)
    for user in range(data.n_users):
        unseen = np.setdiff1d(np.arange(data.n_items), data.history(user))
        end = data.indptr[user + 1]
        frame.loc[end - 2 : end - 1, "item"] = rng.choice(unseen, 2, replace=False).astype(np.int32)
    return data.with_(interactions=frame)


def canary_source(config: DataConfig) -> Dataset:
    """For study files: `source: tests.agents.worlds:canary_source`."""
    return with_canary(small_world())


def source_by_seed(config: DataConfig) -> Dataset:
    """For study files: seed 0 is the world, any other the same world with another future."""
    return with_another_future(small_world()) if config.seed else small_world()
