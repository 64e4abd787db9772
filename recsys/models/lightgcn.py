"""LightGCN: user and item embeddings are averaged over a few steps of propagation on the interaction graph.

He et al. 2020, "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation".
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig
from ..training.space import Range, Space
from ..training.terms import Term
from .bpr import TripleConfig, margins, squared_norm, triple_terms
from .initial_vectors import start_together
from .network import EmbeddingModel, PairScoring, ProductScoring, Representations
from .recommender import fitted, interactions_matrix


class LightGCNConfig(TripleConfig):
    layers: int = Field(2, ge=0)
    """Propagation steps (He et al. 2020, table 3: 2-4); 0 is matrix factorisation."""
    l2: NonNegativeFloat = 3e-4
    """Weight of the squared norms of a triple's vectors before propagation (He et al. 2020, eq. 15). On the validation
    side of ml-100k 3e-4, 1e-3 and 3e-3 reach NDCG@10 .074, .073 and .059."""
    learning_rate: PositiveFloat = 5e-3
    patience: PositiveInt = 15
    epochs: PositiveInt = 200

    space: ClassVar[Space] = {"layers": Range(1, 4)}


class _Spread(torch.autograd.Function):
    """A @ x for a symmetric A: the gradient is A @ gradient, which spares the transposition in torch's own backward."""

    @staticmethod
    def forward(ctx: Any, graph: Tensor, x: Tensor) -> Tensor:
        ctx.graph = graph
        return graph @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.graph @ gradients[0]


class Graph(nn.Module):
    """Embeddings of users and items; `propagated` gives their means over 0, 1, ... `layers` propagation steps."""

    def __init__(self, n_users: int, n_items: int, size: int, layers: int, graph: Tensor | None) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(n_users, size) * 0.1)
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.1)
        self.layers, self.graph = layers, graph
        # The last propagation, reused by a second loss of the same step; stored only if `keeps_last` is set.
        self.keeps_last, self.last = False, cast("tuple[Tensor, Tensor] | None", None)

    def propagated(self) -> tuple[Tensor, Tensor]:
        """(n_users, size), (n_items, size)."""
        if self.graph is None:
            return self.users, self.items
        self.graph = self.graph.to(self.users.device)
        total = layer = torch.cat([self.users, self.items])
        # torch has no sparse product in bf16 on a CPU; propagation stays in fp32 under autocast too.
        with torch.autocast(layer.device.type, enabled=False):
            for _ in range(self.layers):
                layer = _Spread.apply(self.graph, layer)  # type: ignore[no-untyped-call]
                total = total + layer
        users, items = (total / (self.layers + 1)).split([len(self.users), len(self.items)])
        return users, items

    def forward(self, users: Tensor, items: Tensor, others: Tensor) -> Tensor:
        """x_ui - x_uj, (n,)."""
        all_users, all_items = self.propagated()
        if self.keeps_last:
            self.last = all_users, all_items
        return margins(all_users, all_items, users, items, others)

    def with_norm(self, users: Tensor, items: Tensor, others: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """x_ui - x_uj, (n,), and the l2 penalty: the sum of share * (|u|^2 + |i|^2 + |j|^2) before propagation."""
        both, twice = torch.cat([items, others]), torch.cat([shares, shares])
        norm = squared_norm(self.users, users, shares) + squared_norm(self.items, both, twice)
        return self(users, items, others), norm


class LightGCN(EmbeddingModel[Graph, LightGCNConfig]):
    """score(u, i) = product of the propagated vectors; edges of the graph are the train interactions.

    Interaction weights count twice: as edge weights and in the loss of their own triple.
    """

    name: ClassVar[str] = "lightgcn"
    Config: ClassVar[type[TrainingConfig]] = LightGCNConfig

    def build(self, train: Dataset) -> Graph:
        size, layers = self.config.embedding_size, self.config.layers
        network = Graph(train.n_users, train.n_items, size, layers, normalised(train))
        start_together(network.users, network.items, train)
        return network

    def terms(self, network: Graph, train: Dataset) -> list[Term]:
        return triple_terms(network, train, self.config)

    @torch.no_grad()
    def scores(self, network: Graph, users: Ints, history: Dataset) -> Floats:
        all_users, all_items = network.propagated()
        chosen = all_users[torch.as_tensor(users, device=all_users.device).long()]
        return (chosen @ all_items.T).float().cpu().numpy()

    def item_table(self, network: Graph) -> Tensor:
        return network.propagated()[1]

    def user_states(self, network: Graph, users: Tensor, history: Dataset) -> Tensor:
        return F.embedding(users, network.propagated()[0])

    def representations(self, network: Graph, users: Tensor, history: Dataset) -> Representations:
        # The main term of the same step has propagated already; both losses backpropagate through it together.
        last, network.last = network.last, None
        all_users, all_items = last if last is not None and torch.is_grad_enabled() else network.propagated()
        return Representations(F.embedding(users, all_users), all_items, None)

    def pair_scorer(self, network: Graph, train: Dataset) -> PairScoring:
        return _GraphScoring(self, network, train)

    def state(self) -> Arrays:
        """The propagated vectors, which are sufficient for scoring."""
        with torch.no_grad():
            users, items = fitted(self.name, self.network).propagated()
        return {"users": users.cpu().numpy(), "items": items.cpu().numpy()}

    def empty_network(self, state: Arrays) -> Graph:
        users, items = state["users"], state["items"]
        return Graph(len(users), len(items), users.shape[1], layers=0, graph=None)


class _GraphScoring(ProductScoring):
    """Reuses the main term's propagation for the pairs of the same step."""

    network: Graph

    def __init__(self, model: LightGCN, network: Graph, train: Dataset) -> None:
        super().__init__(model, network, train)
        network.keeps_last = True

    def release(self) -> None:
        self.network.keeps_last, self.network.last = False, None


def normalised(train: Dataset) -> Tensor:
    """(n_users + n_items,) * 2 symmetric CSR adjacency, normalised: weight / sqrt(degree(u) * degree(i))."""
    edges = interactions_matrix(train).tocoo()
    left, right = edges.row, edges.col + train.n_users
    n = train.n_users + train.n_items
    degree = np.bincount(left, edges.data, n) + np.bincount(right, edges.data, n)
    values = np.tile(edges.data / np.sqrt(degree[left] * degree[right]), 2)
    graph = csr_matrix((values, (np.concatenate([left, right]), np.concatenate([right, left]))), shape=(n, n))
    index = np.int32 if graph.nnz < 2**31 else np.int64
    with warnings.catch_warnings():
        # torch warns that CSR is in beta; tests compare the products used here with dense ones.
        warnings.filterwarnings("ignore", "Sparse")
        return torch.sparse_csr_tensor(
            torch.from_numpy(graph.indptr.astype(index)),
            torch.from_numpy(graph.indices.astype(index)),
            torch.from_numpy(graph.data.astype(np.float32)),
            size=graph.shape,
        )
