"""BPR-MF: a user's and an item's vector, trained so that what was chosen is ranked before what was not.

Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, "BPR: Bayesian Personalized Ranking from Implicit Feedback".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from .. import losses, training
from ..batches import Negatives, shuffled
from ..checkpoints import Arrays
from ..data.dataset import Dataset, Floats, Ints
from .initial import start_together
from .recommender import Circumstances, fitted


class BPRConfig(training.TrainingConfig):
    embedding_size: PositiveInt = 64
    """Length of a user's and an item's vector."""
    l2: NonNegativeFloat = 3e-3
    """Weight of the squared norms of the vectors in a triple (Rendle et al. 2009, lambda_Theta). On the validation side
    of ml-100k 1e-3, 3e-3 and 1e-2 reach NDCG@10 .073, .076 and .067."""
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 2048
    learning_rate: PositiveFloat = 2e-3
    patience: PositiveInt = 20


class Factors(nn.Module):
    """x_ui = p_u . q_i + b_i."""

    def __init__(self, n_users: int, n_items: int, size: int) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(n_users, size) * 0.1)
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.1)
        self.bias = nn.Parameter(torch.zeros(n_items))

    def forward(self, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
        """x_ui - x_uj, (n,)."""
        return margins(self.users, self.items, users, items, others) + self.bias[items] - self.bias[others]

    def tables(self) -> tuple[Tensor, ...]:
        """What l2 shrinks: a table of users, then tables of items."""
        return self.users, self.items, self.bias[:, None]


class Ranker(Protocol):
    """A network that is trained on triples."""

    def __call__(self, users: Tensor, items: Tensor, others: Tensor) -> Tensor: ...

    def tables(self) -> tuple[Tensor, ...]: ...


def margins(all_users: Tensor, all_items: Tensor, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
    """p_u . (q_i - q_j), (n,)."""
    difference = F.embedding(items, all_items) - F.embedding(others, all_items)
    return (F.embedding(users, all_users) * difference).sum(1)


def triple_terms(network: Ranker, train: Dataset, config: BPRConfig) -> list[training.Term]:
    """BPR over (user, item, other) triples, the other one drawn uniformly from what the user did not choose.

    l2 counts the vectors of a triple once each. A user who chose everything has no other item, and is left out.
    """
    negatives = Negatives.of(train)
    rows = np.flatnonzero(negatives.free(train.user) > 0)
    user, item, weight = train.user[rows], train.item[rows], train.weight[rows]

    def batches(rng: np.random.Generator) -> Iterator[training.Batch]:
        negative = negatives.draw(user, rng)[:, 0]
        for batch in shuffled(len(rows), config.batch_size, rng):
            yield user[batch], item[batch], negative[batch], weight[batch]

    def loss(users: Tensor, items: Tensor, others: Tensor, weights: Tensor) -> Tensor:
        margin = network(users, items, others)
        ranked = losses.bpr(margin, torch.zeros_like(margin), weights)
        shares = weights / weights.sum()
        user_table, *item_tables = network.tables()
        norm = squared_norm(user_table, users, shares)
        for table in item_tables:
            norm = norm + squared_norm(table, torch.cat([items, others]), torch.cat([shares, shares]))
        return ranked + config.l2 * norm

    return [training.Term(batches, loss), *training.pairs(train, config.pair_weight, config.batch_size, network)]


def squared_norm(table: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
    """sum of weights * |table[codes]|^2, by counting how often each row is meant; a batch meets rows many times."""
    counts = torch.zeros(len(table), dtype=weights.dtype, device=weights.device).index_add_(0, codes, weights)
    return counts @ table.square().sum(1)


class BPR:
    """Matrix factorisation with an item bias under BPR-Opt; negatives are uniform over what the user did not choose."""

    name: ClassVar[str] = "bpr"
    accepts: ClassVar[frozenset[str]] = frozenset({"weights", "pairs", "item_vectors", "user_vectors"})
    Config: ClassVar[type[training.TrainingConfig]] = BPRConfig

    def __init__(self, config: BPRConfig | None = None) -> None:
        self.config = config or BPRConfig()
        self.network: Factors | None = None
        self.log: training.Log | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None, circumstances: Circumstances = Circumstances()) -> None:
        self.network, self.log = training.fit(self, train, valid, circumstances)

    def build(self, train: Dataset) -> Factors:
        network = Factors(train.n_users, train.n_items, self.config.embedding_size)
        start_together(network.users, network.items, train)
        return network

    def terms(self, network: Factors, train: Dataset) -> list[training.Term]:
        return triple_terms(network, train, self.config)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.scores(fitted(self.name, self.network), users, history)

    @torch.no_grad()
    def scores(self, network: Factors, users: Ints, history: Dataset) -> Floats:
        p = network.users[torch.as_tensor(users, device=network.users.device).long()]
        return torch.addmm(network.bias, p, network.items.T).float().cpu().numpy()

    def state(self) -> Arrays:
        return training.state(fitted(self.name, self.network))

    def restore(self, state: Arrays) -> None:
        self.network = Factors(len(state["users"]), *state["items"].shape)
        training.restore(self.network, state)
