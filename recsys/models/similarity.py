"""Helpers of models with one sparse item-to-item matrix: scores from a history, rows, and serialisation."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from .recommender import interactions_matrix


def history_scores(similarity: csr_matrix, users: Ints, history: Dataset) -> Floats:
    """(n, n_items) sums over each user's history of weight x similarity. similarity (n_items, n_items)."""
    return np.asarray((interactions_matrix(history)[users] @ similarity).toarray(), np.float32)


def rows(similarity: csr_matrix, items: Ints) -> Floats:
    """(n, n_items): what each of these items, in a history, adds to the score of every item."""
    return np.asarray(similarity[items].toarray(), np.float32)


def as_arrays(similarity: csr_matrix) -> Arrays:
    """The CSR arrays of the matrix, by name."""
    return {"data": similarity.data, "indices": similarity.indices, "indptr": similarity.indptr}


def from_arrays(state: Arrays) -> csr_matrix:
    """The matrix from the output of `as_arrays`."""
    n = len(state["indptr"]) - 1
    return csr_matrix((state["data"], state["indices"], state["indptr"]), shape=(n, n))
