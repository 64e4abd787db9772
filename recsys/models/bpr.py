"""BPR-MF: matrix factorisation trained by pairwise ranking of positive above negative items.

Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..training import losses
from ..training.batches import Batch, Negatives, part_of_rows, shuffled
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig
from ..training.space import Among, Range, Space
from ..training.terms import Term, pairs
from .initial_vectors import start_together
from .network import EmbeddingModel
from .recommender import fitted


class TripleConfig(TrainingConfig):
    """Hyperparameters of a network that is trained on triples (user, positive item, negative item)."""

    embedding_size: PositiveInt = 64
    """Size of a user's and an item's vector."""
    l2: NonNegativeFloat = 3e-3
    """Weight of the squared norms of the vectors in a triple (Rendle et al. 2009, lambda_Theta). On the validation side
    of ml-100k 1e-3, 3e-3 and 1e-2 reach NDCG@10 .073, .076 and .067."""
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 2048
    learning_rate: PositiveFloat = 2e-3
    patience: PositiveInt = 20

    space: ClassVar[Space] = {
        "embedding_size": Among((32, 64, 128)),
        "learning_rate": Range(5e-4, 2e-2, log=True),
        "l2": Range(1e-5, 3e-2, log=True),
    }


class BPRConfig(TripleConfig):
    lazy: bool = False
    """Adam updates only the vectors that occur in a batch, not those that only its momentum would move. For data with
    many times more users and items than a batch: a batch of 2,048 touches one in fifty of 250,000 vectors."""

    @model_validator(mode="after")
    def _lazy_alone(self) -> BPRConfig:
        for other in ("clip", "compile"):
            if self.lazy and getattr(self, other):
                raise ConfigError(f"lazy: cannot be had with {other}; leave one of them out")
        return self

    @property
    def sparse_gradients(self) -> bool:
        return self.lazy


class Factors(nn.Module):
    """x_ui = p_u . q_i + b_i. lazy: gradients are sparse, with entries for the rows of the batch only."""

    def __init__(self, n_users: int, n_items: int, size: int, lazy: bool = False) -> None:
        super().__init__()
        self.lazy = lazy
        self.users = nn.Parameter(torch.randn(n_users, size) * 0.1)
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.1)
        self.bias = nn.Parameter(torch.zeros(n_items))

    def forward(self, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
        """x_ui - x_uj, (n,)."""
        if self.lazy:
            p, q, bias = self._rows(users, items, others)
            return (p * torch.sub(*q.chunk(2))).sum(1) + torch.sub(*bias.chunk(2))
        return margins(self.users, self.items, users, items, others) + self.bias[items] - self.bias[others]

    def with_norm(self, users: Tensor, items: Tensor, others: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """x_ui - x_uj, (n,), and the sum of share * (|p_u|^2 + |q_i|^2 + |q_j|^2 + b_i^2 + b_j^2), the l2 penalty."""
        both, twice = torch.cat([items, others]), torch.cat([shares, shares])
        if self.lazy:  # each table is read once, so that it has one sparse gradient
            p, q, bias = self._rows(users, items, others)
            margin = (p * torch.sub(*q.chunk(2))).sum(1) + torch.sub(*bias.chunk(2))
            return margin, shares @ p.square().sum(1) + twice @ (q.square().sum(1) + bias.square())
        norm = squared_norm(self.users, users, shares) + squared_norm(self.items, both, twice)
        return self(users, items, others), norm + squared_norm(self.bias[:, None], both, twice)

    def _rows(self, users: Tensor, items: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        both = torch.cat([items, others]).long()
        p, q = F.embedding(users, self.users, sparse=True), F.embedding(both, self.items, sparse=True)
        return p, q, self.bias.gather(0, both, sparse_grad=True)


class Ranker(Protocol):
    """A network that is trained on triples."""

    def __call__(self, users: Tensor, items: Tensor, others: Tensor) -> Tensor: ...

    def with_norm(self, users: Tensor, items: Tensor, others: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]: ...


def margins(all_users: Tensor, all_items: Tensor, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
    """p_u . (q_i - q_j), (n,)."""
    difference = F.embedding(items, all_items) - F.embedding(others, all_items)
    return (F.embedding(users, all_users) * difference).sum(1)


def triple_terms(network: Ranker, train: Dataset, config: TripleConfig) -> list[Term]:
    """BPR over (user, item, negative) triples, with one negative per row, uniform over the user's non-positives.

    l2 counts the vectors of a triple once each. Users with an interaction with every item have no negatives and are
    left out.
    """
    negatives = Negatives.of(train)
    rows = np.flatnonzero(negatives.free(train.user) > 0)
    user, item, weight = train.user[rows], train.item[rows], train.weight[rows]

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        negative = negatives.draw(user, rng)[:, 0]
        for batch in shuffled(len(rows), config.batch_size, rng):
            yield user[batch], item[batch], negative[batch], weight[batch]

    def loss(users: Tensor, items: Tensor, others: Tensor, weights: Tensor) -> Tensor:
        margin, norm = network.with_norm(users, items, others, weights / weights.sum())
        return losses.bpr(margin, torch.zeros_like(margin), weights) + config.l2 * norm

    main = Term(batches, loss, part_of_rows)
    return [main, *pairs(train, config.pair_weight, config.batch_size, network)]


def squared_norm(table: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
    """sum of weights * |table[codes]|^2, computed once per row of the table, because codes repeat within a batch."""
    counts = torch.zeros(len(table), dtype=weights.dtype, device=weights.device).index_add_(0, codes, weights)
    return counts @ table.square().sum(1)


class BPR(EmbeddingModel[Factors, BPRConfig]):
    """Matrix factorisation with an item bias, trained by BPR-Opt; negatives are uniform over non-positives."""

    name: ClassVar[str] = "bpr"
    Config: ClassVar[type[TrainingConfig]] = BPRConfig
    term_users: ClassVar[int] = 96

    def build(self, train: Dataset) -> Factors:
        network = Factors(train.n_users, train.n_items, self.config.embedding_size, self.config.lazy)
        start_together(network.users, network.items, train)
        return network

    def empty_network(self, state: Arrays) -> Factors:
        return Factors(len(state["users"]), *state["items"].shape)

    def terms(self, network: Factors, train: Dataset) -> list[Term]:
        return triple_terms(network, train, self.config)

    @torch.no_grad()
    def scores(self, network: Factors, users: Ints, history: Dataset) -> Floats:
        p = network.users[torch.as_tensor(users, device=network.users.device).long()]
        return torch.addmm(network.bias, p, network.items.T).float().cpu().numpy()

    def item_table(self, network: Factors) -> Tensor:
        return network.items

    def user_states(self, network: Factors, users: Tensor, history: Dataset) -> Tensor:
        return F.embedding(users, network.users)

    def bias(self, network: Factors) -> Tensor:
        return network.bias

    def item_bias(self) -> Floats:
        """(n_items,)."""
        return fitted(self.name, self.network).bias.detach().cpu().numpy()
