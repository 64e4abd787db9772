"""ItemKNN: items are similar when the same users interacted with them; scores sum similarities to the history.

Sarwar et al. 2001 for the cosine; TF-IDF and BM25 weighting of the matrix as in `implicit`, whose C++ top-K product
finds the neighbours in memory of a small multiple of the result.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize, tfidf_weight
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.sparse import csc_matrix, csr_matrix

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from ..training.space import Among, Range, Space
from . import similarity
from .recommender import FitContext, ModelConfig, fitted, interactions_matrix, learnt_from


class ItemKNNConfig(ModelConfig):
    neighbours: PositiveInt = 20
    """Neighbours stored for each item, itself included; 20-200 is usual."""
    neighbours_of: Literal["candidate", "history"] = "candidate"
    """Which neighbour lists are used: that of the item to be scored (Sarwar et al. 2001, section 3.2), or those of the
    items of the history (Deshpande & Karypis 2004, figure 2, and implicit)."""
    weighting: Literal["cosine", "tfidf", "bm25"] = "tfidf"
    """How active users and repeated interactions are down-weighted before items are compared."""
    k1: PositiveFloat = 1.2
    """BM25's saturation of repeated counts; large values leave counts as they are (Robertson & Zaragoza 2009)."""
    b: float = Field(0.75, ge=0, le=1)
    """BM25's normalisation by popularity: 0 none, 1 full."""

    space: ClassVar[Space] = {
        "weighting": Among(("cosine", "tfidf", "bm25")),
        "neighbours": Range(5, 500, log=True),
        "neighbours_of": Among(("candidate", "history")),
        "k1": Range(0.5, 200.0, log=True, when={"weighting": "bm25"}),
        "b": Range(0.0, 1.0, when={"weighting": "bm25"}),
    }


class ItemKNN:
    """score(u, i) = sum over the history j of u of weight(u, j) * similarity(i, j)."""

    name: ClassVar[str] = "itemknn"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights"})
    Config: ClassVar[type[ModelConfig]] = ItemKNNConfig

    def __init__(self, config: ItemKNNConfig | None = None) -> None:
        self.config = config or ItemKNNConfig()
        self.similarity: csr_matrix | None = None
        """(n_items, n_items): row j is what item j of a history adds to the score of every item."""

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        data = learnt_from(self.config, train, valid)
        engine = ItemItemRecommender(K=self.config.neighbours, num_threads=context.threads or 0)
        engine.fit(self._weighted(interactions_matrix(data).T), show_progress=False)
        nearest = engine.similarity if self.config.neighbours_of == "history" else engine.similarity.T
        self.similarity = csr_matrix(nearest, dtype=np.float32)

    def _weighted(self, by_item: csc_matrix) -> csr_matrix:
        """(n_users, n_items) weighted matrix whose columns are compared, from the interactions (n_items, n_users)."""
        if self.config.weighting == "bm25":
            return bm25_weight(by_item, self.config.k1, self.config.b).T.tocsr()
        return normalize(tfidf_weight(by_item) if self.config.weighting == "tfidf" else by_item).T.tocsr()

    def score(self, users: Ints, history: Dataset) -> Floats:
        return similarity.history_scores(fitted(self.name, self.similarity), users, history)

    def item_weights(self, items: Ints) -> Floats:
        return similarity.rows(fitted(self.name, self.similarity), items)

    def state(self) -> Arrays:
        return similarity.as_arrays(fitted(self.name, self.similarity))

    def restore(self, state: Arrays) -> None:
        self.similarity = similarity.from_arrays(state)
