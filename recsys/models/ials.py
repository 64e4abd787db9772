"""iALS: matrix factorisation of all user-item entries, positives weighted up, by alternating least squares.

Hu, Koren & Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets"; `implicit` solves for the item and
user vectors by conjugate gradients (Takács, Pilászy & Tikk 2011).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from ..training.space import Among, Range, Space
from .recommender import FitContext, ModelConfig, fitted, interactions_matrix, learnt_from


class IALSConfig(ModelConfig):
    embedding_size: PositiveInt = 64
    """Size of a user's and an item's vector."""
    epochs: PositiveInt = 15
    """Alternations between users and items; 10-20 are enough."""
    l2: PositiveFloat = 0.01
    """Lambda of the squared norms (Hu et al. 2008, eq. 3)."""
    alpha: PositiveFloat = 1.0
    """Confidence of a positive entry of weight w is alpha * w, of a negative entry 1 (`implicit`'s c_ui; Hu et al. 2008
    have 1 + alpha * w)."""

    space: ClassVar[Space] = {
        "embedding_size": Among((16, 32, 64, 128)),
        "epochs": Range(5, 30),
        "l2": Range(1e-3, 100.0, log=True),
        "alpha": Range(0.5, 50.0, log=True),
    }

    @property
    def random(self) -> bool:
        return True


class IALS:
    """score(u, i) = x_u . y_i, where x_u is solved for from the given history, so a new history needs no new fit."""

    name: ClassVar[str] = "ials"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = IALSConfig

    def __init__(self, config: IALSConfig | None = None) -> None:
        self.config = config or IALSConfig()
        self.items: Floats | None = None
        """(n_items, embedding_size)."""

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        data = learnt_from(self.config, train, valid)
        engine = AlternatingLeastSquares(
            factors=self.config.embedding_size,
            regularization=self.config.l2,
            alpha=self.config.alpha,
            iterations=self.config.epochs,
            num_threads=context.threads or 0,
            random_state=int(np.random.SeedSequence(context.seed).generate_state(1)[0]),
        )
        # implicit starts its own threads and warns if BLAS starts more inside each.
        with threadpool_limits(1, "blas"):
            engine.fit(interactions_matrix(data), show_progress=False)
        self.items = np.asarray(engine.item_factors, np.float32)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.user_vectors(users, history) @ self.item_vectors().T

    def item_vectors(self) -> Floats:
        return fitted(self.name, self.items)

    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """Solves (Y'Y + lambda I + sum over the history of (alpha w - 1) y_i y_i') x_u = sum over it of alpha w y_i."""
        items = fitted(self.name, self.items)
        size = items.shape[1]
        base = items.T @ items + self.config.l2 * np.eye(size, dtype=np.float32)
        matrix = interactions_matrix(history)[users]
        vectors = np.zeros((len(users), size), np.float32)
        for row in range(len(users)):
            span = slice(matrix.indptr[row], matrix.indptr[row + 1])
            chosen, confidence = items[matrix.indices[span]], self.config.alpha * matrix.data[span]
            if len(chosen):
                vectors[row] = np.linalg.solve(base + (chosen.T * (confidence - 1)) @ chosen, chosen.T @ confidence)
        return vectors

    def state(self) -> Arrays:
        return {"items": fitted(self.name, self.items)}

    def restore(self, state: Arrays) -> None:
        self.items = state["items"]
