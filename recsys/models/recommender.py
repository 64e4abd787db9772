"""`Recommender`, the protocol of all models: fitted to a Dataset, they score every item for some users."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

import numpy as np
from scipy.sparse import csr_matrix

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Floats, Ints, together
from ..training.batches import with_positive_weight
from ..training.config import Config, ModelConfig
from ..training.context import FitContext

__all__ = [
    "Config",
    "FitContext",
    "ModelConfig",
    "Recommender",
    "fitted",
    "interactions_matrix",
    "learnt_from",
    "with_positive_weight",
]

Learnt = TypeVar("Learnt")


class Recommender(Protocol):
    """The protocol of every model; `contract.py` holds the tests that a new one must pass.

    `accepts` names what the model uses of a Dataset beyond user, item and order: `weights` (interaction weights),
    `pairs` (preference pairs), `item_vectors`, `user_vectors` (initial vectors). Everything else is ignored, and
    studies report that.
    """

    name: ClassVar[str]
    accepts: ClassVar[frozenset[str]]

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = ...) -> None:
        """Learns from `train`; a model that trains in epochs uses `valid` for early stopping. There is no test side."""

    def score(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items) scores, higher is better; `history` holds the users' interactions known at that time.

        Items of the history are scored like any other; the evaluation masks them.
        """


def learnt_from(config: ModelConfig, train: Dataset, valid: Dataset | None) -> Dataset:
    """The data that a model without epochs learns from: train, or train + valid if `config.refit`.

    Interactions of weight 0 are left out. DataError if none are left.
    """
    data = together(train, valid) if config.refit and valid is not None else train
    data = with_positive_weight(data)
    if not len(data):
        raise DataError(f"dataset {data.name!r}: no interaction of weight > 0 to learn from")
    return data


def interactions_matrix(data: Dataset) -> csr_matrix:
    """(n_users, n_items) float32 sums of weights of each user's interactions with each item, without stored zeros."""
    shape = (data.n_users, data.n_items)
    matrix = csr_matrix((data.weight, data.item, data.indptr), shape=shape, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def fitted(name: str, learnt: Learnt | None) -> Learnt:
    """`learnt`, the fitted parameters of model `name`; ConfigError if None, that is, before the fit."""
    if learnt is None:
        raise ConfigError(f"{name}: not fitted; call fit(train, valid) or load it from a folder first")
    return learnt
