"""What serving asks of a model besides its scores: vectors of users and items, or weights from item to item."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..data.dataset import Dataset, Floats, Ints


@runtime_checkable
class Embedding(Protocol):
    """A model whose score is the product of a user's and an item's vector; a `Biased` one's plus the item's bias."""

    def item_vectors(self) -> Floats:
        """(n_items, d)."""

    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), d), from what `history` knows of them where the model reads it."""


@runtime_checkable
class Biased(Protocol):
    """An `Embedding` with a number an item that every user's score has added."""

    def item_bias(self) -> Floats:
        """(n_items,)."""


@runtime_checkable
class ItemToItem(Protocol):
    """A model that is a table of weights between items."""

    def item_weights(self, items: Ints) -> Floats:
        """(len(items), n_items): what each of these items, in a history, adds to the score of every item."""
