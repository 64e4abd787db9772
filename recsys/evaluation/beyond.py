"""What accuracy does not see of top-k lists: how much of the catalogue they show, how evenly, and how new it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Lists = npt.NDArray[np.integer]


def coverage(lists: Lists, k: int, n_items: int) -> float:
    """Share of the catalogue that stands in at least one list's first k, in [0, 1].

    lists: (n, depth) item codes, best first; -1 where a list is shorter.
    """
    return float(np.count_nonzero(_appearances(lists, k, n_items)) / n_items)


def gini(lists: Lists, k: int, n_items: int) -> float:
    """Inequality of how often items are shown: 0 when all are shown equally, 1 - 1/n_items when one item takes all.

    Over the whole catalogue, items never shown included. NaN when nothing is shown at all.
    """
    appearances = np.sort(_appearances(lists, k, n_items))
    total = appearances.sum()
    if total == 0:
        return float("nan")
    position = np.arange(1, n_items + 1)
    return float(np.sum((2 * position - n_items - 1) * appearances) / (n_items * total))


def novelty(lists: Lists, k: int, item_counts: npt.NDArray[np.integer], n_users: int) -> float:
    """Mean self-information of the items shown, log2(n_users / users who know the item), in bits (Zhou et al. 2010).

    item_counts: (n_items,) how many users know each item; one that nobody knows counts as known to one user, the most
    the sample can say. NaN when nothing is shown at all.
    """
    top = lists[:, :k]
    appearances = top[top >= 0]
    if len(appearances) == 0:
        return float("nan")
    return float(np.mean(np.log2(n_users / np.maximum(item_counts[appearances], 1))))


def _appearances(lists: Lists, k: int, n_items: int) -> npt.NDArray[np.int64]:
    top = lists[:, :k]
    return np.bincount(top[top >= 0], minlength=n_items)
