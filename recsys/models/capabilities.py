"""Optional protocols of fitted models besides scores: vectors, item-to-item weights, click probabilities, a log.

Callers check for the protocol, so that plug-ins and wrappers are treated like recloop's own models.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..data.dataset import Dataset, Floats, Ints
from ..training.progress import TrainingLog


@runtime_checkable
class ItemVectors(Protocol):
    """A model with a vector for every item."""

    def item_vectors(self) -> Floats:
        """(n_items, d)."""


@runtime_checkable
class Embedding(ItemVectors, Protocol):
    """A model whose score is the product of a user's and an item's vector; of a `Biased` one, plus the item's bias."""

    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), d); computed from `history` if the model reads it."""


@runtime_checkable
class Biased(Protocol):
    """An `Embedding` with a bias per item that is added to every user's score."""

    def item_bias(self) -> Floats:
        """(n_items,)."""


@runtime_checkable
class ItemWeights(Protocol):
    """A model that is a matrix of weights between items."""

    def item_weights(self, items: Ints) -> Floats:
        """(len(items), n_items): what each of these items, in a history, adds to the score of every item."""


@runtime_checkable
class ClickPredictor(Protocol):
    """A model that predicts clicks; a rating of at least `threshold` is a click."""

    @property
    def threshold(self) -> float: ...

    def predict(self, rows: Dataset, history: Dataset) -> Floats:
        """(len(rows),) probabilities in [0, 1], each at the row's time, from earlier rows of `history` only."""


@runtime_checkable
class TrainedInEpochs(Protocol):
    """A model with the log of its training: None before the fit, and if nothing was trained in epochs."""

    @property
    def log(self) -> TrainingLog | None: ...


def log_of(model: object) -> TrainingLog | None:
    """The training log of a fitted model, None where it has none."""
    return model.log if isinstance(model, TrainedInEpochs) else None
