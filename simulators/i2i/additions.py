"""Additions that no agent proposed: parts of what was generated, and the neighbours that ItemKNN would add."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix

from ...agents.fusion import added, is_generated
from ...recsys.data import Dataset
from ...recsys.data.dataset import Floats
from ...recsys.models.itemknn import ItemKNN, ItemKNNConfig

Bools = npt.NDArray[np.bool_]
BLOCK = 16_000_000
"""Scores of users and items held at once: 64 MB."""


def part(refined: Dataset, chosen: Bools) -> Dataset:
    """`refined` with those of its generated rows where `chosen` (one a generated row, in their order) is true."""
    stays = np.ones(len(refined), bool)
    stays[np.flatnonzero(is_generated(refined))[~chosen]] = False
    return refined.rows(stays)


def thinned(count: int, size: int, rng: np.random.Generator) -> Bools:
    """(count,) true for `size` rows at random; with an equal generator a larger part holds the smaller ones."""
    chosen = np.zeros(count, bool)
    chosen[rng.permutation(count)[:size]] = True
    return chosen


def surest(confidence: npt.NDArray[np.floating], size: int, rng: np.random.Generator) -> Bools:
    """(n,) true for the `size` rows of highest confidence, of equally sure ones at random; NaN is least."""
    order = np.lexsort((rng.random(len(confidence)), -np.nan_to_num(confidence, nan=-np.inf)))
    chosen = np.zeros(len(confidence), bool)
    chosen[order[:size]] = True
    return chosen


def neighbours_instead(raw: Dataset, refined: Dataset, head: Bools) -> Dataset:
    """`raw` with as many rows added as `refined` has generated ones: for each user as many head and as many tail items
    (head: (n_items,)), those that ItemKNN of the raw rows ranks first among what the user has not had.

    An item without a common buyer is added where nothing else is left, the lower code first.
    """
    new = is_generated(refined)
    wanted = pd.DataFrame({"user": refined.user[new], "head": head[refined.item[new]]})
    counts = wanted.groupby(["user", "head"]).size().reset_index(name="count")
    knn = ItemKNN(ItemKNNConfig(weighting="cosine", neighbours=101, neighbours_of="history"))
    knn.fit(raw)
    users = np.unique(counts["user"].to_numpy())
    sizes = {(int(u), bool(h)): int(n) for u, h, n in counts.itertuples(index=False)}
    tables: list[pd.DataFrame] = []
    step = max(1, BLOCK // raw.n_items)
    for first in range(0, len(users), step):
        block = users[first : first + step]
        scores = knn.score(block.astype(np.int32), raw)
        _mask(scores, block, raw)
        for side, mask in ((True, head), (False, ~head)):
            items = np.flatnonzero(mask)
            for row, user in enumerate(block.tolist()):
                size = sizes.get((user, side), 0)
                if size:
                    tables.append(_best(scores[row, items], items, size).assign(user=user))
    if not tables:
        return raw
    rows = pd.concat(tables, ignore_index=True).assign(record="")
    made = added(raw, rows, "cf_neighbours")
    return made.with_(interactions=made.interactions.assign(origin=np.where(is_generated(made), "control", "raw")))


def _best(scores: Floats, items: npt.NDArray[np.int64], size: int) -> pd.DataFrame:
    open_ = np.flatnonzero(scores > -np.inf)
    order = open_[np.lexsort((items[open_], -scores[open_]))][:size]
    return pd.DataFrame({"item": items[order].astype(np.int32), "confidence": np.float32(np.nan)})


def _mask(scores: Floats, users: npt.NDArray[np.integer], raw: Dataset) -> None:
    """Sets what the users have had already, and items that nobody has had, to -inf."""
    seen = csr_matrix((np.ones(len(raw), bool), raw.item, raw.indptr), shape=(raw.n_users, raw.n_items))[users].tocoo()
    scores[seen.row, seen.col] = -np.inf
    scores[:, raw.item_counts == 0] = -np.inf
