"""YoutubeDNN: a user tower over the last items, a table of item vectors, and a sampled softmax between them.

Covington, Adams & Sargin 2016, "Deep Neural Networks for YouTube Recommendations", section 3: the mean of the last
items' vectors and the user's fields pass through ReLU layers; each row of a history is predicted from the rows before
it. The output layer is linear here, so that user vectors may have negative components. The correction of the sampled
logits is that of Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", with
the counts of the train side instead of their streaming estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..data.feature_table import FeatureTable, check_columns
from ..training import losses
from ..training.batches import Batch, newest, shuffled, windows
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig
from ..training.space import Among, Range, Space
from ..training.terms import Term, pairs
from .dropout import Dropout
from .initial_vectors import Axes, start_from
from .network import BLOCK_USERS, EmbeddingModel, blocks_of
from .sequence import user_features


class YoutubeDNNConfig(TrainingConfig):
    embedding_size: PositiveInt = 64
    """Size of an item's and a user's vector."""
    max_length: PositiveInt = 50
    """Number of newest items that are averaged (Covington et al. 2016: 50 watches)."""
    hidden: tuple[PositiveInt, ...] = (128,)
    """Widths of the user tower's ReLU layers; empty makes the user's vector the mean of the items'."""
    shared: bool = True
    """Input items and target items share one table of vectors. The paper has two tables, for far more data."""
    fields: tuple[str, ...] | None = None
    """Columns of the table of users that the tower reads; null: age, sex and occupation where the data has them."""
    field_size: PositiveInt = 8
    """Size of the vector of a field's value."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the user tower's input values that is dropped."""
    negatives: PositiveInt = 512
    """Items sampled per batch and shared by its rows; `sampler: batch` uses the other rows' items instead."""
    sampler: Literal["popularity", "uniform", "batch"] = "popularity"
    """Distribution of negatives: by frequency as targets, uniform, or the batch's own targets (Yi et al. 2019)."""
    correction: bool = True
    """Subtract log Q(j) from every logit, Q(j) being the probability that a sample is j (Yi et al. 2019)."""
    temperature: NonNegativeFloat = 0.0
    """0: scores are inner products; above 0: cosines divided by it (Yi et al. 2019, normalisation and temperature)."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 512
    learning_rate: float = Field(2e-3, gt=0)

    space: ClassVar[Space] = {
        "embedding_size": Among((32, 64, 128)),
        "max_length": Among((10, 20, 50)),
        "dropout": Range(0.0, 0.6),
        "learning_rate": Range(3e-4, 1e-2, log=True),
        "shared": Among((True, False)),
    }

    def check(self, train: Dataset | None = None) -> None:
        super().check(train)
        if train is not None and self.fields is not None:
            check_columns(train.with_(items=train.items[["item_id"]]), self.fields)


class Towers(nn.Module):
    """Maps users (n,) and their items (n, time), padded with n_items, to user vectors (n, size).

    user_codes: (n_users, f) codes of the users' fields in one table of `n_codes` rows.
    """

    user_codes: Tensor
    user_vectors: Tensor | None

    def __init__(
        self, n_items: int, config: YoutubeDNNConfig, user_codes: Tensor, n_codes: int, user_vectors: Tensor | None
    ) -> None:
        super().__init__()
        size, width = config.embedding_size, config.field_size
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.1)
        self.watched = None if config.shared else nn.Parameter(torch.randn(n_items, size) * 0.1)
        self.register_buffer("user_codes", user_codes)
        self.values = nn.Parameter(torch.randn(n_codes, width) * 0.1) if n_codes else None
        self.dropout = Dropout(config.dropout)
        layers: list[nn.Module] = []
        reads = size + user_codes.shape[1] * width
        for hidden in config.hidden:
            layers += [nn.Linear(reads, hidden), nn.ReLU()]
            reads = hidden
        self.tower = nn.Sequential(*layers, *([nn.Linear(reads, size)] if config.hidden or n_codes else []))
        self.register_buffer("user_vectors", user_vectors)
        self.user_map = None if user_vectors is None else nn.Linear(user_vectors.shape[1], size, bias=False)
        if self.user_map is not None:
            nn.init.zeros_(self.user_map.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        table = self.items if self.watched is None else self.watched
        real = (items != len(table))[..., None]
        seen = F.embedding(items.clamp_max(len(table) - 1), table) * real
        parts = [seen.sum(1) / real.sum(1).clamp_min(1)]
        if self.values is not None:
            parts.append(F.embedding(self.user_codes[users], self.values).flatten(1))
        state: Tensor = self.tower(self.dropout(torch.cat(parts, 1)))
        if self.user_vectors is not None and self.user_map is not None:
            state = state + self.user_map(self.user_vectors[users])
        return state


class YoutubeDNN(EmbeddingModel[Towers, YoutubeDNNConfig]):
    """score(u, i) = output of the user tower . vector of i, or their cosine / temperature where there is one.

    Agents' user vectors pass through a linear map, initialised to 0, whose output is added to the user's vector.
    """

    name: ClassVar[str] = "youtubednn"
    Config: ClassVar[type[TrainingConfig]] = YoutubeDNNConfig

    def build(self, train: Dataset) -> Towers:
        codes, n_codes = user_fields(train, self.config.fields)
        features = user_features(train, self.config.embedding_size)
        network = Towers(train.n_items, self.config, torch.from_numpy(codes), n_codes, features)
        if train.item_vectors is not None:
            axes = Axes.of(train.item_vectors, self.config.embedding_size)
            for table in (network.items, network.watched):
                if table is not None:
                    start_from(table, train.item_vectors, axes)
        return network

    def empty_network(self, state: Arrays) -> Towers:
        vectors = torch.from_numpy(state["user_vectors"]) if "user_vectors" in state else None
        n_codes = len(state["values"]) if "values" in state else 0
        return Towers(len(state["items"]), self.config, torch.from_numpy(state["user_codes"]), n_codes, vectors)

    def terms(self, network: Towers, train: Dataset) -> list[Term]:
        """Sampled softmax of each row but a user's first, given the rows before it, and the term of pairs."""
        config, pad = self.config, train.n_items
        place = np.arange(len(train)) - train.indptr[train.user]
        targets = np.flatnonzero(place > 0)
        size = np.minimum(place[targets], config.max_length)
        odds = draw_odds(train.item[targets], train.n_items, config.sampler)
        likely = np.cumsum(odds)
        log_q = torch.from_numpy(np.log(np.maximum(odds, np.finfo(float).tiny)).astype(np.float32))

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            for batch in shuffled(len(targets), config.batch_size, rng):
                rows = targets[batch]
                seen = windows(train, train.user[rows], rows - size[batch], size[batch], int(size[batch].max()), pad)
                sampled = np.searchsorted(likely, rng.random(config.negatives) * likely[-1], side="right")
                others = train.item[rows] if config.sampler == "batch" else sampled
                yield train.user[rows], seen.items, train.item[rows], others.astype(np.int64), train.weight[rows]

        def loss(users: Tensor, items: Tensor, positive: Tensor, others: Tensor, weights: Tensor) -> Tensor:
            state, table = self._compared(network(users, items)), self.item_table(network)
            q = log_q.to(state.device) if config.correction else torch.zeros_like(log_q, device=state.device)
            chosen = (state * F.embedding(positive, table)).sum(1) - q[positive]
            sampled = state @ F.embedding(others, table).T - q[others]
            # A sampled item that equals the target is not a negative.
            sampled = sampled.masked_fill(others == positive[:, None], -torch.inf)
            return losses.sampled_softmax(chosen, sampled, weights)

        def prefer(users: Tensor, preferred: Tensor, other: Tensor) -> Tensor:
            distinct, at = users.unique(return_inverse=True)
            state, table = self.user_states(network, distinct, train)[at], self.item_table(network)
            return (state * (table[preferred] - table[other])).sum(1)

        return [Term(batches, loss), *pairs(train, config.pair_weight, config.batch_size, prefer)]

    @torch.no_grad()
    def scores(self, network: Towers, users: Ints, history: Dataset) -> Floats:
        table, device = self.item_table(network).T, network.items.device
        blocks = [
            self.user_states(network, torch.as_tensor(part, device=device), history) @ table
            for part in blocks_of(users, BLOCK_USERS)
        ]
        return torch.cat(blocks).float().cpu().numpy() if blocks else np.empty((0, len(network.items)), np.float32)

    def item_table(self, network: Towers) -> Tensor:
        """(n_items, d), of norm 1/sqrt(temperature) where there is one: products with users' states are scores."""
        return self._compared(network.items)

    def user_states(self, network: Towers, users: Tensor, history: Dataset) -> Tensor:
        codes = users.cpu().numpy().astype(np.int32)
        seen = newest(history, codes, self.config.max_length, history.n_items)
        return self._compared(network(users, torch.as_tensor(seen.items, device=users.device)))

    def _compared(self, vectors: Tensor) -> Tensor:
        if not self.config.temperature:
            return vectors
        output: Tensor = F.normalize(vectors, dim=-1) / self.config.temperature**0.5
        return output


def user_fields(train: Dataset, fields: tuple[str, ...] | None) -> tuple[Ints, int]:
    """(n_users, f) codes of the users' fields in one table, and the table's number of rows.

    A value that no user of `train` has is the field's "unknown". Raises ConfigError for a missing column.
    """
    table = FeatureTable.fitted(train.with_(items=train.items[["item_id"]]), fields)
    codes, sizes = table.users[:, 1:], table.sizes[1 : table.users.shape[1]]
    return (codes + np.cumsum([0, *sizes])[:-1]).astype(np.int32) if sizes else codes, int(sum(sizes))


def draw_odds(targets: Ints, n_items: int, sampler: str) -> np.ndarray:
    """(n_items,) float64 Q, the probability that one sample is each item."""
    if sampler == "uniform":
        return np.full(n_items, 1 / n_items)
    counts = np.bincount(targets, minlength=n_items).astype(np.float64)
    values: np.ndarray = counts / max(counts.sum(), 1)
    return values
