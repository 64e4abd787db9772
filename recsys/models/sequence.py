"""`SequenceModel`, the base class of sequence models: item vectors, next-item training, scores of the last state.

A model defines a body, which maps item vectors to states inside `Sequence`: SASRec's is causal attention, GRU4Rec's a
recurrent network. BERT4Rec also defines its own loss terms.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints
from ..training import losses
from ..training.batches import Batch, Negatives, newest, pieces, share, stretch, windows
from ..training.checkpoints import Arrays
from ..training.config import TrainingConfig
from ..training.space import Among, Range, Space
from ..training.terms import Term, pairs
from .dropout import Dropout
from .initial_vectors import Axes, start_from
from .network import EmbeddingModel, steps_of

STATE_SCORES = 4_000_000
"""Values of (user, time, size) held at once when scoring: bounds the memory of a block of users."""


class SequenceConfig(TrainingConfig):
    embedding_size: PositiveInt = 64
    """Size of an item's vector and of a state."""
    max_length: PositiveInt = 50
    """Number of newest items that are read."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped, of item vectors and in the body."""
    epochs: PositiveInt = 100
    batch_size: PositiveInt = 64
    """Windows of at most max_length items per training step."""

    space: ClassVar[Space] = {
        "embedding_size": Among((32, 64, 128)),
        "max_length": Among((20, 50, 100)),
        "dropout": Range(0.0, 0.7),
        "learning_rate": Range(3e-4, 5e-3, log=True),
    }


class NextItemConfig(SequenceConfig):
    loss: Literal["softmax", "sampled_softmax", "gbce"] = "softmax"
    """softmax is over the whole catalogue; the other two sample `negatives` items per window, for large catalogues."""
    negatives: PositiveInt = 256
    """Items sampled per window by a sampled loss; never positives of the window's user."""
    calibration: float = Field(0.75, ge=0, le=1)
    """t of gBCE (Petrov & Macdonald 2023: .75)."""


class Sequence(nn.Module):
    """Maps item codes (batch, time), padded on the right with n_items, to states of the unpadded positions.

    States are (positions, size) in row-major order: a third of a batch of MovieLens windows is padding, and only
    attention and recurrence need padded rows. Code n_items + 1 is the mask, for a body trained with masks.
    """

    def __init__(
        self,
        n_items: int,
        size: int,
        dropout: float,
        body: nn.Module,
        user_vectors: Tensor | None,
        hidden: bool = False,
    ) -> None:
        super().__init__()
        self.items = nn.Parameter(torch.randn(n_items, size) * 0.02)
        self.hidden = nn.Parameter(torch.randn(1, size) * 0.02) if hidden else None
        self.dropout, self.body = Dropout(dropout), body
        self.user_vectors: Tensor | None
        self.register_buffer("user_vectors", user_vectors)
        self.user_map = None if user_vectors is None else nn.Linear(user_vectors.shape[1], size, bias=False)
        if self.user_map is not None:
            nn.init.zeros_(self.user_map.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        n = len(self.items)
        real = items != n
        codes = items[real]
        table = self.items if self.hidden is None else torch.cat([self.items, self.hidden])
        x: Tensor = F.embedding(codes.clamp_max(n), table) * self.items.shape[1] ** 0.5
        x = self.body(self.dropout(x), real)
        if self.user_vectors is not None and self.user_map is not None:
            x = x + self.user_map(self.user_vectors[users[real.nonzero()[:, 0]]])
        return x


def spread(states: Tensor, real: Tensor) -> Tensor:
    """(batch, time, d) from the states (n, d) of the n true positions of `real` (batch, time); padding is 0."""
    padded = states.new_zeros(*real.shape, states.shape[1])
    padded[real] = states
    return padded


def user_features(train: Dataset, size: int) -> Tensor | None:
    """Agents' user vectors on their principal axes, with standard deviation 1, (n_users, <= size); 0 without one."""
    if train.user_vectors is None:
        return None
    axes = Axes.of(train.user_vectors, size)
    known = train.user_vectors.any(1, keepdims=True)
    features = torch.from_numpy(((train.user_vectors - axes.mean) @ axes.directions * known).astype(np.float32))
    scale = float(features.std()) if features.numel() > 1 else 0.0
    return features / scale if scale > 0 else features


def started(network: Sequence, train: Dataset) -> Sequence:
    """The network, its item vectors initialised from `train.item_vectors`, if any."""
    if train.item_vectors is not None:
        start_from(network.items, train.item_vectors, Axes.of(train.item_vectors, network.items.shape[1]))
    return network


def next_item_terms(network: Sequence, train: Dataset, config: NextItemConfig) -> list[Term]:
    """Cross-entropy of the next item at every position of every window, against all items or sampled ones."""
    pad = train.n_items
    negatives = Negatives.of(train) if config.loss != "softmax" else None

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        users, start, steps = pieces(train, config.max_length, rng)
        if negatives is not None:
            some = negatives.free(users) > 0
            users, start, steps = users[some], start[some], steps[some]
        order = rng.permutation(len(users))
        for first in range(0, len(order), config.batch_size):
            rows = order[first : first + config.batch_size]
            seen = windows(train, users[rows], start[rows], steps[rows] + 1, int(steps[rows].max()) + 1, pad)
            inputs, targets = seen.items[:, :-1].copy(), seen.items[:, 1:]
            real = targets != pad
            inputs[~real] = pad
            others = negatives.draw(users[rows], rng, config.negatives) if negatives is not None else inputs[:, :0]
            yield users[rows], inputs, targets[real].astype(np.int64), train.weight[seen.rows[:, 1:][real]], others

    def loss(users: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor, others: Tensor) -> Tensor:
        states = network(users, inputs)
        if config.loss == "softmax":
            return losses.catalogue_softmax(states, network.items, targets, weights)
        real = inputs != pad
        negative = (spread(states, real) @ F.embedding(others, network.items).transpose(1, 2))[real]
        positive = (states * F.embedding(targets, network.items)).sum(1)
        if config.loss == "gbce":
            return losses.gbce(positive, negative, train.n_items, config.calibration, weights)
        return losses.sampled_softmax(positive, negative, weights)

    def part(batch: Batch, which: int, parts: int) -> tuple[Batch, float]:
        return part_of_windows(batch, (batch[1] != pad).sum(1), (2, 3), which, parts)

    return [Term(batches, loss, part), *pair_terms(network, train, config)]


def part_of_windows(
    batch: Batch, targets: npt.NDArray[np.integer], by_target: tuple[int, int], which: int, parts: int
) -> tuple[Batch, float]:
    """One process's part of a batch of windows, and the part's share of the sum of weights.

    targets: (n,) number of targets of each window; by_target: indices of the two arrays of the batch with an entry per
    target, the weights last.
    """
    rows = stretch(len(targets), which, parts)
    ends = np.concatenate([[0], np.cumsum(targets)])
    places = slice(int(ends[rows.start]), int(ends[rows.stop]))
    mine = tuple(array[places if at in by_target else rows] for at, array in enumerate(batch))
    return mine, share(batch[by_target[1]], places)


def pair_terms(network: Sequence, train: Dataset, config: SequenceConfig, hidden: bool = False) -> list[Term]:
    """The term of preference pairs, on the state at the end of the train history."""

    def prefer(users: Tensor, preferred: Tensor, other: Tensor) -> Tensor:
        distinct, place = users.unique(return_inverse=True)
        state = last_states(network, distinct.cpu().numpy().astype(np.int32), train, config.max_length, hidden)[place]
        return (state * (network.items[preferred] - network.items[other])).sum(1)

    return pairs(train, config.pair_weight, _targets_a_batch(train, config), prefer)


def last_states(network: Sequence, users: Ints, history: Dataset, max_length: int, hidden: bool = False) -> Tensor:
    """(n, size) states after each user's newest item, 0 for users without history.

    hidden: the state is that of a mask after the newest item, which takes one of the max_length positions.
    """
    device = network.items.device
    seen = newest(history, users, max_length - hidden, history.n_items)
    items, size = seen.items, (seen.rows >= 0).sum(1)
    if hidden:
        items = np.pad(items, ((0, 0), (0, 1)), constant_values=history.n_items)
        items[np.flatnonzero(size), size[size > 0]] = history.n_items + 1
    known = torch.as_tensor(np.flatnonzero(size), device=device)
    states = network(torch.as_tensor(users, device=device), torch.as_tensor(items, device=device))
    last: Tensor = states.new_zeros(len(users), states.shape[1])
    last[known] = states[torch.as_tensor(np.cumsum(size + hidden * (size > 0))[size > 0] - 1, device=device)]
    return last


@torch.no_grad()
def last_scores(network: Sequence, users: Ints, history: Dataset, max_length: int, hidden: bool = False) -> Floats:
    """(n, n_items) products of each user's last state with every item."""
    step = max(1, STATE_SCORES // (max_length * network.items.shape[1]))
    blocks = [
        last_states(network, users[first : first + step], history, max_length, hidden) @ network.items.T
        for first in range(0, len(users), step)
    ]
    return torch.cat(blocks).float().cpu().numpy() if blocks else np.empty((0, len(network.items)), np.float32)


def windows_an_epoch(train: Dataset, max_length: int) -> float:
    """Expected number of windows that the histories are cut into."""
    return float((np.maximum(train.user_counts - 1, 0) / max_length + 0.5).sum())


def _targets_a_batch(train: Dataset, config: SequenceConfig) -> int:
    """Expected number of target interactions per batch."""
    return max(1, int(config.batch_size * len(train) / max(windows_an_epoch(train, config.max_length), 1)))


Settings = TypeVar("Settings", bound=SequenceConfig)


class SequenceModel(EmbeddingModel[Sequence, Settings]):
    """score(u, i) = state after the newest item of u . vector of i; 0 without history, so that all items tie.

    Agents' user vectors pass through a linear map, initialised to 0, whose output is added to every state of the user.
    """

    hidden: ClassVar[bool] = False
    """Whether the user's state is that of a mask after the newest item."""
    term_passes: ClassVar[float] = 0.2

    @abstractmethod
    def body(self) -> nn.Module:
        """A module from item vectors (positions, size) and `real` (batch, time) to states (positions, size)."""

    def build(self, train: Dataset) -> Sequence:
        network = self._network(train.n_items, user_features(train, self.config.embedding_size))
        return started(network, train)

    def empty_network(self, state: Arrays) -> Sequence:
        vectors = torch.from_numpy(state["user_vectors"]) if "user_vectors" in state else None
        return self._network(len(state["items"]), vectors)

    def _network(self, n_items: int, user_vectors: Tensor | None) -> Sequence:
        c = self.config
        return Sequence(n_items, c.embedding_size, c.dropout, self.body(), user_vectors, self.hidden)

    def scores(self, network: Sequence, users: Ints, history: Dataset) -> Floats:
        return last_scores(network, users, history, self.config.max_length, self.hidden)

    def item_table(self, network: Sequence) -> Tensor:
        return network.items

    def user_states(self, network: Sequence, users: Tensor, history: Dataset) -> Tensor:
        codes = users.cpu().numpy().astype(np.int32)
        return last_states(network, codes, history, self.config.max_length, self.hidden)

    def users_at_once(self, network: Sequence) -> int:
        return max(1, STATE_SCORES // (self.config.max_length * network.items.shape[1]))

    def steps_an_epoch(self, network: Sequence, train: Dataset) -> int:
        return steps_of(windows_an_epoch(train, self.config.max_length), self.config.batch_size)
