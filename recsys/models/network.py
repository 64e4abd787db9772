"""`NetworkModel`, the base class of recommenders that are one network: fit, score, vectors, saving, loss terms.

A model's own file holds its hyperparameters, its `nn.Module` and four methods: `build`, `terms`, `scores` and
`empty_network`. A model whose scores are products of vectors is an `EmbeddingModel` and adds `item_table` and
`user_states`, which loss terms (guidance, alignment), item-to-item serving and export of vectors use.
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
"""Reference items whose mean score is subtracted when scores of a ranking model are turned into probabilities."""


class PairScoring(Protocol):
    """Scores of single (user, item) pairs by a network in training, with gradient.

    users (m,) distinct codes; place (n,) index into `users` of each row; items (n,) codes.
    """

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) scores at the end of the train history."""

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) probabilities in (0, 1): of a click, or, for ranking models, of scoring above an average item.

        The average is the mean over `REFERENCES` items, the same for every user.
        """

    def release(self) -> None:
        """Undoes changes that the scorer made to the network for the time of training."""


class NetworkModel(ABC, Generic[Network, Settings]):
    """A recommender that the training loop fits; `network` and `log` are None before the fit."""

    name: ClassVar[str]
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs", "item_vectors", "user_vectors"})
    Config: ClassVar[type[TrainingConfig]]

    term_users: ClassVar[int] = 32
    """Default for the smallest number of users per step in which an extra loss term is applied: calling the network for
    fewer costs nearly as much."""
    term_passes: ClassVar[float] = 1.0
    """Default for the number of times per epoch that an extra loss term visits each user."""

    def __init__(self, config: Settings | None = None) -> None:
        self.config: Settings = config or cast(Settings, self.Config())
        self.network: Network | None = None
        self.log: TrainingLog | None = None

    @abstractmethod
    def build(self, train: Dataset) -> Network:
        """A new network; torch's generator has been seeded by the training loop."""

    @abstractmethod
    def empty_network(self, state: Arrays) -> Network:
        """A network with the shapes of saved weights, into which they are then loaded."""

    @abstractmethod
    def terms(self, network: Network, train: Dataset) -> list[Term]:
        """The network's own loss, main term first."""

    @abstractmethod
    def scores(self, network: Network, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items) scores of a network in evaluation mode; see `score`."""

    @abstractmethod
    def pair_scorer(self, network: Network, train: Dataset) -> PairScoring:
        """Scores single pairs with `network`, which was built for `train`, during training."""

    def steps_an_epoch(self, network: Network, train: Dataset) -> int:
        """Expected number of steps of the main term per epoch."""
        return steps_of(len(train), self.config.batch_size)

    def loss_terms(self) -> list[LossTerm[Any]]:
        """The extra loss terms named in `config.terms`."""
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
    """Vectors whose products are scores, with gradient: users (m, d), items (n_items, d); bias (n_items,) or None."""

    users: Tensor
    items: Tensor
    bias: Tensor | None


class EmbeddingModel(NetworkModel[Network, Settings]):
    """A network whose score is the product of a user's state and an item's vector, plus the item's bias if any."""

    @abstractmethod
    def item_table(self, network: Network) -> Tensor:
        """(n_items, d) vectors of all items, whose products with users' states are scores, with gradient."""

    @abstractmethod
    def user_states(self, network: Network, users: Tensor, history: Dataset) -> Tensor:
        """(m, d) states of users (m,) at the end of `history`, with gradient."""

    def bias(self, network: Network) -> Tensor | None:
        """(n_items,) item biases of the scores, or None."""
        return None

    def representations(self, network: Network, users: Tensor, history: Dataset) -> Representations:
        """All three parts of the scores of users (m,); override it where one forward pass gives them together."""
        return Representations(self.user_states(network, users, history), self.item_table(network), self.bias(network))

    def pair_scorer(self, network: Network, train: Dataset) -> PairScoring:
        return ProductScoring(self, network, train)

    @torch.no_grad()
    def item_vectors(self) -> Floats:
        """(n_items, d)."""
        return self.item_table(fitted(self.name, self.network)).detach().float().cpu().numpy()

    @torch.no_grad()
    def user_vectors(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), d); computed from `history` if the model reads it."""
        network, history = fitted(self.name, self.network), with_positive_weight(history)
        table = self.item_table(network)
        blocks = [
            self.user_states(network, torch.as_tensor(part, device=table.device).long(), history).float().cpu().numpy()
            for part in blocks_of(users, self.users_at_once(network))
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, table.shape[1]), np.float32)

    def users_at_once(self, network: Network) -> int:
        """Number of users whose states are computed at once."""
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
        # The mean of products equals the product with the mean vector, so no (user, reference) pair is scored.
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
    """Number of batches of `rows` rows, at least 1."""
    return max(1, int(np.ceil(rows / batch_size)))


def blocks_of(users: Ints, size: int) -> Iterator[Ints]:
    """`users` in blocks of at most `size`."""
    for first in range(0, len(users), size):
        yield users[first : first + size]
