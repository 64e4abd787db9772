"""EASE: the linear item-to-item model that minimises the squared error, in closed form.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data".
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from ..training.space import Range, Space
from .recommender import FitContext, ModelConfig, fitted, interactions_matrix, learnt_from


class EASEConfig(ModelConfig):
    l2: PositiveFloat = 500.0
    """Lambda, on the scale of an item's number of interactions; 100-1000 is usual (Steck 2019, section 4)."""
    max_items: PositiveInt = 20_000
    """Largest catalogue accepted: the model is a dense (n_items, n_items) matrix, 20,000 items take 3.2 GB to fit."""

    space: ClassVar[Space] = {"l2": Range(10.0, 5000.0, log=True)}

    def check(self, train: Dataset | None = None) -> None:
        if train is not None and train.n_items > self.max_items:
            raise ConfigError(
                f"ease: {train.n_items} items need a matrix of {train.n_items**2 * 8 / 1e9:.1f} GB; "
                f"filter the data, choose itemknn, or raise max_items (now {self.max_items})"
            )


class EASE:
    """score(u, i) = sum over the history j of u of weight(u, j) * B_ji, with B_ii = 0 (Steck 2019, eq. 8)."""

    name: ClassVar[str] = "ease"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = EASEConfig

    def __init__(self, config: EASEConfig | None = None) -> None:
        self.config = config or EASEConfig()
        self.weights: Floats | None = None
        """(n_items, n_items) B."""

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        data = learnt_from(self.config, train, valid)
        self.config.check(data)
        matrix = interactions_matrix(data).astype(np.float64)
        inverse = _inverse_gram(matrix, self.config.l2)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0
        self.weights = weights.astype(np.float32)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return np.asarray(interactions_matrix(history)[users] @ fitted(self.name, self.weights), np.float32)

    def item_weights(self, items: Ints) -> Floats:
        return fitted(self.name, self.weights)[items]

    def state(self) -> Arrays:
        return {"weights": fitted(self.name, self.weights)}

    def restore(self, state: Arrays) -> None:
        self.weights = state["weights"]


def _inverse_gram(matrix: csr_matrix, l2: float) -> npt.NDArray[np.float64]:
    """(n_items, n_items) inverse of X'X + l2 I; with fewer users than items, from the n_users x n_users inverse.

    Woodbury: (X'X + l2 I)^-1 = (I - X' (X X' + l2 I)^-1 X) / l2.
    """
    users, items = matrix.shape
    if users >= items:
        gram = (matrix.T @ matrix).toarray()
        gram[np.diag_indices_from(gram)] += l2
        return np.linalg.inv(gram)
    between_users = (matrix @ matrix.T).toarray()
    between_users[np.diag_indices_from(between_users)] += l2
    inverse = matrix.T @ (np.linalg.inv(between_users) @ matrix.toarray())
    inverse *= -1 / l2
    inverse[np.diag_indices_from(inverse)] += 1 / l2
    return np.asarray(inverse)
