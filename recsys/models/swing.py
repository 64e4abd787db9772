"""Swing: two items are similar when users who share few other items interacted with both.

Yang, Zhu, Zhang, Wang & Yuan 2020, "Large Scale Product Graph Construction for Recommendation in E-commerce", eq. 2,
the user-weighted form:

    s(i, j) = sum over pairs of users u, v who both have i and j of w_u * w_v / (alpha + |I_u & I_v|)
    w_u = |I_u| ** -beta, where the paper has beta = 1/2

A pair of users counts once, as in the paper's worked example; the double sum of eq. 2 counts it twice, which changes no
order. |I_u & I_v| includes i and j, as in eq. 2; the worked example excludes i, so that its alpha 1 is eq. 2's alpha 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, PositiveInt
from scipy.sparse import csr_matrix

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from ..training.space import Range, Space
from . import similarity
from .recommender import FitContext, ModelConfig, fitted, learnt_from

Indices = npt.NDArray[np.integer]

PAIRS, ROWS = 8_000_000, 100_000
"""Candidate user pairs per block, and pairs with shared items per block: about 100 MB each."""


class SwingConfig(ModelConfig):
    alpha: NonNegativeFloat = 1.0
    """Smooths the overlap of two users (eq. 2)."""
    beta: float = Field(0.5, ge=0, le=1)
    """Exponent that down-weights active users: 0 not at all (eq. 1), .5 as in the paper."""
    neighbours: PositiveInt = 100
    """Neighbours stored for each item, itself excluded."""
    max_users: PositiveInt | None = 1000
    """Largest number of users of one item that are compared, sampled by the seed where there are more: the work grows
    with their square. None compares all. Alibaba's own component uses 1,000, too; the paper names none."""

    space: ClassVar[Space] = {
        "alpha": Range(0.1, 100.0, log=True),
        "beta": Range(0.0, 1.0),
        "neighbours": Range(10, 500, log=True),
    }


class Swing:
    """score(u, i) = sum over the history j of u of weight(u, j) * s(j, i), of the best neighbours of each j.

    An interaction's weight r is an edge weight: a pair of users adds its share times r_ui r_uj r_vi r_vj, and |I_u| and
    |I_u & I_v| are sums of r and of products of r. Of repeated interactions of a user with an item the heaviest counts:
    I_u is a set.
    """

    name: ClassVar[str] = "swing"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = SwingConfig

    def __init__(self, config: SwingConfig | None = None) -> None:
        self.config = config or SwingConfig()
        self.similarity: csr_matrix | None = None
        """(n_items, n_items): row j holds the neighbours of item j, at most `neighbours` of them."""

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        data = learnt_from(self.config, train, valid)
        self.similarity = swings(strengths(data), self.config, context.seed)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return similarity.history_scores(fitted(self.name, self.similarity), users, history)

    def item_weights(self, items: Ints) -> Floats:
        """(n, n_items): what each of these items, in a history, adds to the score of every item."""
        return similarity.rows(fitted(self.name, self.similarity), items)

    def state(self) -> Arrays:
        return similarity.as_arrays(fitted(self.name, self.similarity))

    def restore(self, state: Arrays) -> None:
        self.similarity = similarity.from_arrays(state)


def strengths(data: Dataset) -> csr_matrix:
    """(n_users, n_items) float64 weight of each user's heaviest interaction with each item."""
    order = np.lexsort((data.weight, data.item, data.user))
    user, item, weight = data.user[order], data.item[order], data.weight[order].astype(np.float64)
    last = np.append((np.diff(user) != 0) | (np.diff(item) != 0), True)[-len(order) :]
    return csr_matrix((weight[last], (user[last], item[last])), shape=(data.n_users, data.n_items))


def swings(chosen: csr_matrix, config: SwingConfig, seed: int = 0) -> csr_matrix:
    """(n_items, n_items) float32 similarities to each item's nearest neighbours, from interactions (n_users, n_items).

    Every pair of users who share at least two items is one row of a matrix P (pairs, n_items) of their shared items.
    With the pairs' weights k on a diagonal, all similarities are P' k P. Sparse data has few such pairs (1.7 million in
    440,264 interactions with games); P is computed in blocks.
    """
    lively = np.maximum(np.asarray(chosen.sum(1)).ravel(), np.finfo(float).tiny) ** -config.beta
    compared = _sampled_users(chosen, config.max_users, seed)
    similarities = csr_matrix((chosen.shape[1],) * 2)
    for first, second in _pairs(chosen, compared):
        shared = chosen[first].multiply(chosen[second]).tocsr()
        share = lively[first] * lively[second] / (config.alpha + np.asarray(shared.sum(1)).ravel())
        of_item = shared if compared is chosen else shared.multiply(compared[first]).multiply(compared[second]).tocsr()
        weighed = csr_matrix(
            (of_item.data * np.repeat(share, np.diff(of_item.indptr)), of_item.indices, of_item.indptr), of_item.shape
        )
        similarities = similarities + weighed.T @ shared
    similarities.setdiag(0)
    return _best(csr_matrix(similarities), config.neighbours)


def _sampled_users(chosen: csr_matrix, most: int | None, seed: int) -> csr_matrix:
    """(n_users, n_items) 1 for the interactions compared, at most `most` users per item; `chosen` itself if none has
    more."""
    by_item = chosen.tocsc()
    crowded: list[int] = []
    if most is not None:
        crowded = np.flatnonzero(np.diff(by_item.indptr) > most).tolist()
    if not crowded:
        return chosen
    by_item = by_item.copy()
    by_item.data[:] = 1
    for item in crowded:
        rows = np.arange(by_item.indptr[item], by_item.indptr[item + 1])
        best_entries = np.random.default_rng([seed, item]).choice(rows, most, replace=False)
        by_item.data[np.setdiff1d(rows, best_entries)] = 0
    by_item.eliminate_zeros()
    return by_item.tocsr()


def _pairs(chosen: csr_matrix, compared: csr_matrix) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of users, first < second, both (n,), who share two items, at least one of them in `compared` for both."""
    marks = csr_matrix((np.ones(compared.nnz, np.int32), compared.indices, compared.indptr), compared.shape)
    work = np.cumsum(marks @ np.asarray(marks.sum(0)).ravel())
    cuts = np.searchsorted(work, np.arange(PAIRS, int(work.max(initial=0)) + PAIRS, PAIRS)) + 1
    edges = np.unique(np.clip(np.append(0, cuts), 0, chosen.shape[0]))
    least = 2 if compared is chosen else 1
    for start, stop in itertools.pairwise(edges):
        met = (marks[start:stop] @ marks.T).tocoo()
        first = met.row.astype(np.int64) + start
        best_entries = np.flatnonzero((met.col > first) & (met.data >= least))
        for part in np.array_split(best_entries, max(1, -(-len(best_entries) // ROWS))):
            yield first[part], met.col[part]


def _best(similarities: csr_matrix, count: int) -> csr_matrix:
    """The `count` highest positive entries of every row, best first; ties by lower item code."""
    row = np.repeat(np.arange(similarities.shape[0]), np.diff(similarities.indptr))
    order = np.lexsort((similarities.indices, -similarities.data, row))
    place = np.arange(len(order)) - similarities.indptr[row]
    order = order[(place < count) & (similarities.data[order] > 0)]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[order], minlength=similarities.shape[0]))])
    best_entries = similarities.data[order].astype(np.float32), similarities.indices[order].astype(np.int32), indptr
    return csr_matrix(best_entries, shape=similarities.shape)
