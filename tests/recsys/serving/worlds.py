"""A scorer whose scores are given, and a small dataset with ids that are not codes."""

import numpy as np
import pandas as pd
from recloop.recsys.data import Dataset


class Given:
    """Scores are a table; `asked` counts how many users were scored together."""

    name = "given"

    def __init__(self, table: np.ndarray) -> None:
        self.table = np.asarray(table, np.float32)
        self.asked: list[int] = []

    def score(self, users, history):
        self.asked.append(len(users))
        return self.table[users]


def shop(users: int = 7, items: int = 12, each: int = 3, seed: int = 0) -> Dataset:
    """`users` users named u0, u1 ..., each with `each` of `items` items named i00, i01 ...; every item is known."""
    rng = np.random.default_rng(seed)
    rows = [(f"u{u}", f"i{i:02d}", n) for u in range(users) for n, i in enumerate(rng.permutation(items)[:each])]
    rows += [("all", f"i{i:02d}", i) for i in range(items)]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    titles = pd.DataFrame({"item_id": [f"i{i:02d}" for i in range(items)]})
    return Dataset.of("shop", table, titles.assign(title="Thing " + titles["item_id"]))
