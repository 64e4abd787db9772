"""Worlds with one right answer: two tastes that never mix, and strangers whose places are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from recloop.recsys.data import Dataset

KINDS = {"kite": ("kite", "wind", "line"), "robot": ("robot", "tin", "gear")}
EACH = 12
"""Items of a kind."""


def items() -> pd.DataFrame:
    """Item 0 to 11 are kites, 12 to 23 robots; titles share the words of their kind."""
    rows = [
        {"item_id": at, "title": f"{words[at % 3]} {words[(at + 1) % 3]} model{at}"}
        for kind, words in enumerate(KINDS.values())
        for at in range(kind * EACH, (kind + 1) * EACH)
    ]
    return pd.DataFrame(rows)


def tastes(sequences: list[list[int]] | None = None, users: int = 40, length: int = 8, seed: int = 0) -> Dataset:
    """Even users hold kites only, odd ones robots only; `sequences` are those of the first users instead."""
    rng = np.random.default_rng([seed, users])
    histories = [rng.permutation(EACH)[:length] + EACH * (user % 2) for user in range(users)]
    for user, given in enumerate(sequences or []):
        histories[user] = np.array(given)
    rows = [
        {"user_id": f"u{user}", "item_id": int(item), "timestamp": place}
        for user, history in enumerate(histories)
        for place, item in enumerate(history)
    ]
    # One more user of every item, so that the catalogue is known in its own order.
    every = [{"user_id": "all", "item_id": item, "timestamp": item} for item in range(2 * EACH)]
    return Dataset.of("tastes", pd.DataFrame(every + rows), items())


def strangers(seed: int = 3) -> tuple[Dataset, np.ndarray]:
    """`tastes` where the fourth item of each of the first 20 users is of the other kind; and (n,) where that is."""
    base = tastes(seed=seed)
    sequences = [base.history(user + 1).tolist() for user in range(40)]
    rng = np.random.default_rng(seed)
    for user in range(20):
        sequences[user][3] = int(rng.integers(EACH)) + EACH * (1 - user % 2)
    data = tastes(sequences, seed=seed)
    noise = np.zeros(len(data), bool)
    noise[data.indptr[1:21] + 3] = True
    return data, noise
