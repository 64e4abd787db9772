"""`NetworkModel`: what recommenders that are one network have in common: fit, score, vectors, saving, hooks of terms.

A network's own file holds its hyperparameters, its `nn.Module` and four methods: `build`, `terms`, `scores` and
`empty_network`. One whose scores are products of vectors is an `EmbeddingModel` and adds `item_table` and
`user_states`; that is all that loss terms (guidance, alignment), item-to-item serving and export of vectors need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..training import loop
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig, loss_term
from ..training.loss_term import LossTerm
from ..training.progress import TrainingLog
from ..training.terms import Term
from .recommender import FitContext, fitted, with_positive_weight

Network = TypeVar("Network", bound=nn.Module)
Settings = TypeVar("Settings", bound=TrainingConfig)

BLOCK_USERS = 8_192
"""Users whose vectors are computed at once."""
REFERENCES = 64
"""Items whose mean score is subtracted where scores of a ranking model are read as chances."""


class PairScoring(Protocol):
    """Scores of single (user, item) pairs by a network in training, with gradient.

    users (m,) codes, no one twice; place (n,), whose of them a row is; items (n,) codes.
    """

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) scores at the end of the train history."""

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) scores as chances in (0, 1): of a click, or, of ranking models, of scoring above an average item.

        The average item is the mean over `REFERENCES` items, the same ones for every user.
        """

    def release(self) -> None:
        """Undoes what the scorer changed in the network for the time of its training."""


class NetworkModel(ABC, Generic[Network, Settings]):
    """A recommender that the training loop fits; `network` and `log` are None before the fit."""

    name: ClassVar[str]
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs", "item_vectors", "user_vectors"})
    Config: ClassVar[type[TrainingConfig]]

    term_users: ClassVar[int] = 32
    """Least users of a step in which a further loss term acts, unless it says otherwise: a call of the network for
    fewer costs nearly as much."""
    term_passes: ClassVar[float] = 1.0
    """How often an epoch of a further loss term meets each user, unless it says otherwise."""

    def __init__(self, config: Settings | None = None) -> None:
        self.config: Settings = config or cast(Settings, self.Config())
        self.network: Network | None = None
        self.log: TrainingLog | None = None

    @abstractmethod
    def build(self, train: Dataset) -> Network:
        """A new network; its random numbers come from torch's generator, which the loop has seeded."""

    @abstractmethod
    def empty_network(self, state: Arrays) -> Network:
        """A network of the form of saved weights, into which they are then loaded."""

    @abstractmethod
    def terms(self, network: Network, train: Dataset) -> list[Term]:
        """The network's own loss, main term first."""

    @abstractmethod
    def scores(self, network: Network, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items), as `score`, of a network in evaluation mode."""

    @abstractmethod
    def pair_scorer(self, network: Network, train: Dataset) -> PairScoring:
        """How `network`, which was built for `train`, scores single pairs in training."""

    def steps_an_epoch(self, network: Network, train: Dataset) -> int:
        """About how many steps the main term of an epoch takes."""
        return steps_of(len(train), self.config.batch_size)

    def loss_terms(self) -> list[LossTerm[Any]]:
        """The loss terms that `config.terms` names."""
        return [loss_term(name, settings) for entry in self.config.terms for name, settings in entry.items()]

    def fit(self, train: Dataset, valid: Dataset | None = None, context: FitContext = FitContext()) -> None:
        self.network, self.log = loop.fit(self, train, valid, context, self.loss_terms())

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.scores(fitted(self.name, self.network), users, with_positive_weight(history))

    def state(self) -> Arrays:
        return loop.state(fitted(self.name, self.network))

    def restore(self, state: Arrays) -> None:
        self.network = self.empty_network(state)
        loop.restore(self.network, state)


class Representations(NamedTuple):
    """Vectors whose products are scores, with gradient: users (m, d), items (n_items, d), bias (n_items,) or None."""

    users: Tensor
    items: Tensor
    bias: Tensor | None


class EmbeddingModel(NetworkModel[Network, Settings]):
    """A network whose score is the product of a user's state and an item's vector, plus the item's bias if any."""

    @abstractmethod
    def item_table(self, network: Network) -> Tensor:
        """(n_items, d) the vectors of all items that users' states are compared with, with gradient."""

    @abstractmethod
    def user_states(self, network: Network, users: Tensor, history: Dataset) -> Tensor:
        """(m, d) states of users (m,) at the end of `history`, with gradient."""

    def bias(self, network: Network) -> Tensor | None:
        """(n_items,) what is added to every user's score, or None."""
        return None

    def representations(self, network: Network, users: Tensor, history: Dataset) -> Representations:
        """All that scores of users (m,) are made of, from one pass where the network shares one."""
        return Representations(self.user_states(network, users, history), self.item_table(network), self.bias(network))

    def pair_scorer(self, network: Network, train: Dataset) -> PairScoring:
        return ProductScoring(self, network, train)

    @torch.no_grad()
    def item_vectors(self) -> Floats:
        """(n_items, d)."""
        return self.item_table(fitted(self.name, self.network)).detach().float().cpu().numpy()

    @torch.no_grad()
    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), d), from what `history` holds of them where the model reads it."""
        network, history = fitted(self.name, self.network), with_positive_weight(history)
        table = self.item_table(network)
        blocks = [
            self.user_states(network, torch.as_tensor(part, device=table.device).long(), history).float().cpu().numpy()
            for part in blocks_of(users, self.users_at_once(network))
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, table.shape[1]), np.float32)

    def users_at_once(self, network: Network) -> int:
        """Users whose states are computed at once."""
        return BLOCK_USERS


class ProductScoring:
    """Pair scores of an `EmbeddingModel`: state of u . vector of i + bias of i."""

    def __init__(self, model: EmbeddingModel[Any, Any], network: nn.Module, train: Dataset) -> None:
        self.model, self.network, self.train = model, network, train

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        return _products(self.model.representations(self.network, users, self.train), place, items)

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        n_items = self.train.n_items
        sample = np.random.default_rng([n_items, REFERENCES]).integers(0, n_items, REFERENCES)
        references = torch.as_tensor(sample, device=users.device)
        parts = self.model.representations(self.network, users, self.train)
        # The mean of products with one vector is the product with the mean: no pair of user and reference is scored.
        usual = parts.users @ parts.items[references].mean(0)
        if parts.bias is not None:
            usual = usual + parts.bias[references].mean()
        return torch.sigmoid(_products(parts, place, items) - usual[place])

    def release(self) -> None:
        pass


def _products(parts: Representations, place: Tensor, items: Tensor) -> Tensor:
    x = (F.embedding(place, parts.users) * F.embedding(items, parts.items)).sum(1)
    return x if parts.bias is None else x + parts.bias.index_select(0, items)


def steps_of(rows: float, batch_size: int) -> int:
    """Steps that so many rows take, at least one."""
    return max(1, int(np.ceil(rows / batch_size)))


def blocks_of(users: Ints, size: int) -> Iterator[Ints]:
    """`users` in stretches of `size`."""
    for first in range(0, len(users), size):
        yield users[first : first + size]
