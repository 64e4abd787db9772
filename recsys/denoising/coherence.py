"""Detectors without training: random, rarity, and similarity of an item to its context.

Each gives (n,) doubts, higher for items that fit less, on its own scale. Counts over owners leave out the row's own
owner, so that a row is never evidence for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from ..data.dataset import Dataset, Longs
from .owners import Bools, Doubts, holdings, owners

Near = Callable[[Longs, Longs], Doubts]
REACH = 10
"""Number of positions before and after an item that are its context: all of a window of 11."""


def random_doubt(data: Dataset, seed: int) -> Doubts:
    """Uniform in [0, 1)."""
    return np.random.default_rng([seed, 23]).random(len(data))


def popularity_doubt(data: Dataset, evidence: Bools | None = None) -> Doubts:
    """Minus the number of other owners who have the item. evidence: (n,) mask of the rows to count; None: all."""
    return -others_with(data, holdings(data, evidence))


def neighbour_doubt(data: Dataset, evidence: Bools | None = None, shrink: float = 5.0, reach: int = REACH) -> Doubts:
    """One minus the mean cosine of an item with the others of its context, over the owners who have them (ItemKNN's).

    cosine = n_ij / sqrt((n_i + shrink)(n_j + shrink)), counted without the row's own owner; shrink lowers the
    similarities of rare items. 1 for an item without context.
    """
    held = holdings(data, evidence)
    together = (held.T @ held).tocsr()
    alone = others_with(data, held)
    own = own_share(data, held)

    def near(first: Longs, second: Longs) -> Doubts:
        both = _entries(together, data.item[first], data.item[second]) - own[first] * own[second]
        return np.asarray(both / np.sqrt((alone[first] + shrink) * (alone[second] + shrink)))

    return 1 - mean_over_context(data, near, reach)


def text_doubt(data: Dataset, texts: Sequence[str], reach: int = REACH) -> Doubts:
    """One minus the mean cosine of the TF-IDF vectors of an item's text and those of its context. texts: (n_items,).

    A row whose item has no words gets the mean doubt of the rows with words and is left out of other rows' contexts.
    All doubts are 0.5 if no item has words.
    """
    pattern = r"(?u)\b\w+\b"
    worded = np.array([re.search(pattern, text) is not None for text in texts], bool)
    if not worded.any():
        return np.full(len(data), 0.5)
    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=pattern).fit_transform(texts).tocsr()
    alike = (vectors @ vectors.T).tocsr()
    likeness = mean_over_context(data, lambda a, b: _entries(alike, data.item[a], data.item[b]), reach)
    both = mean_over_context(data, lambda a, b: (worded[data.item[a]] & worded[data.item[b]]).astype(np.float64), reach)
    doubts = 1 - np.divide(likeness, both, out=np.zeros(len(data)), where=both > 0)
    known = worded[data.item]
    if known.any():
        doubts[~known] = doubts[known].mean()
    return np.asarray(doubts)


def others_with(data: Dataset, held: csr_matrix) -> Doubts:
    """(n,) number of owners who have the row's item, without its own owner. held: from `holdings`."""
    return np.asarray(held.sum(0), np.float64).ravel()[data.item] - own_share(data, held)


def own_share(data: Dataset, held: csr_matrix) -> Doubts:
    """(n,) 1 where `held` includes the row's own owner with its item, else 0."""
    return _entries(held, owners(data)[data.user], data.item)


def mean_over_context(data: Dataset, near: Near, reach: int = REACH) -> Doubts:
    """(n,) mean of near(first, second) over the rows at most `reach` positions away in the same user; 0 without any.

    near: maps two arrays of rows, (m,) each, to (m,) values; each pair is evaluated once.
    """
    total, count = np.zeros(len(data)), np.zeros(len(data))
    for first, second in pairs_around(data, reach):
        values = near(first, second)
        for side in (first, second):
            total[side] += values
            count[side] += 1
    return total / np.maximum(count, 1)


def pairs_around(data: Dataset, reach: int = REACH) -> Iterator[tuple[Longs, Longs]]:
    """Rows (m,) and the rows k positions after them in the same user, for k = 1, 2, ... up to reach."""
    for k in range(1, min(reach, int(data.user_counts.max(initial=0)) - 1) + 1):
        first = np.flatnonzero(data.user[:-k] == data.user[k:]).astype(np.int64)
        yield first, first + k


def _entries(matrix: csr_matrix, rows: np.ndarray, columns: np.ndarray) -> Doubts:
    return np.asarray(matrix[rows, columns], np.float64).ravel()
