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

_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han, written without spaces
_WORD = re.compile(rf"[{_SIGN}]|[^\W{_SIGN}]+")
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
    Kana and Han signs are words each. If no word occurs in two texts, character n-grams are compared instead.
    All doubts are 0.5 if no item has words, or if no two texts have anything in common.
    """
    worded = np.array([_WORD.search(text) is not None for text in texts], bool)
    vectors = _shared_terms(texts) if worded.any() else None
    if vectors is None:
        return np.full(len(data), 0.5)
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


def _shared_terms(texts: Sequence[str]) -> csr_matrix | None:
    """TF-IDF rows (n_items, terms) of words, else of character n-grams; None where no term stands in two texts."""
    for form in ({"token_pattern": _WORD.pattern}, {"analyzer": "char_wb", "ngram_range": (2, 3)}):
        vectors = TfidfVectorizer(sublinear_tf=True, **form).fit_transform(texts).tocsr()
        if (vectors > 0).sum(0).max() > 1:
            return vectors
    return None


def _entries(matrix: csr_matrix, rows: np.ndarray, columns: np.ndarray) -> Doubts:
    return np.asarray(matrix[rows, columns], np.float64).ravel()
