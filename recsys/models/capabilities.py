"""What a fitted model may offer besides scores, each a protocol: vectors, item-to-item weights, chances, a log.

Whoever needs one checks for the protocol, so that plug-ins and wrappers are treated as recloop's own models are.
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
    """A model whose score is the product of a user's and an item's vector; a `Biased` one's plus the item's bias."""

    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), d), from what `history` knows of them where the model reads it."""


@runtime_checkable
class Biased(Protocol):
    """An `Embedding` with a number an item that is added to every user's score."""

    def item_bias(self) -> Floats:
        """(n_items,)."""


@runtime_checkable
class ItemWeights(Protocol):
    """A model that is a table of weights between items."""

    def item_weights(self, items: Ints) -> Floats:
        """(len(items), n_items): what each of these items, in a history, adds to the score of every item."""


@runtime_checkable
class ClickPredictor(Protocol):
    """A model that predicts clicks, from labels that a rating of `threshold` or more makes."""

    @property
    def threshold(self) -> float: ...

    def predict(self, rows: Dataset, history: Dataset) -> Floats:
        """(len(rows),) chances in [0, 1], each row at its own time; of `history` only what is earlier is used."""


@runtime_checkable
class TrainedInEpochs(Protocol):
    """A model that keeps the log of its training; None before the fit, and where nothing was trained in epochs."""

    @property
    def log(self) -> TrainingLog | None: ...


def log_of(model: object) -> TrainingLog | None:
    """The training log of a fitted model, None where it has none."""
    return model.log if isinstance(model, TrainedInEpochs) else None
