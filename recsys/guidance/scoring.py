"""x_ui of any network, with gradient: what the guidance compares, from each network's own parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ..clicks.embedding import Rows
from ..clicks.network import ClickNetwork, likes_of
from ..clicks.rows import Likes
from ..data.dataset import Dataset
from ..models.bpr import Factors
from ..models.lightgcn import Graph
from ..models.sequence import Sequence, last_states
from ..training.batches import Negatives
from .selective import Selective

REFERENCES = 64
"""Items whose mean score a ranking model's scores are held against, to be read as chances."""


LEAST = 32
"""Users of a step in which the guidance acts: a call of the network for few of them costs nearly as much."""


class Scorer(Protocol):
    """users (m,) codes, no one twice; place (n,), whose of them a row is; items (n,) codes."""

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) scores at the end of the train history."""

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        """(n,) scores read as chances in (0, 1): of a click, or, of ranking models, of standing above an average item.

        The average item is the mean over `REFERENCES` items, the same ones for everybody.
        """


def scorer_of(learner: Any, network: nn.Module, train: Dataset) -> Scorer:
    """How `network`, which `learner` has built for `train`, scores single pairs.

    Raises ConfigError for a network that is none of recloop's.
    """
    if isinstance(network, Factors):
        if network.lazy:
            raise ConfigError("guidance reads tables as a whole, and lazy ones have sparse gradients; set lazy: false")
        return Products(_factors(network), train.n_items)
    if isinstance(network, Graph):
        network.keeps = True
        return Products(_graph(network), train.n_items)
    if isinstance(network, Sequence):
        return Products(_sequence(network, train, learner.config.max_length), train.n_items)
    if isinstance(network, ClickNetwork):
        return Clicks(network, likes_of(network, train, learner.config.threshold))
    raise ConfigError(
        f"guidance cannot score single pairs of {type(network).__name__}; it knows BPR, LightGCN, the sequence models "
        "and the click models"
    )


def released(network: nn.Module) -> None:
    """Undoes what `scorer_of` has asked of the network for the time of its training."""
    if isinstance(network, Graph):
        network.keeps, network.kept = False, None


def pace(network: nn.Module, config: Selective, users: int, steps: int) -> tuple[float, int]:
    """(passes an epoch, steps from one acting step to the next) over so many users and steps of the main term.

    What the settings leave open: a fifth of a pass of sequence models, else one; steps of at least `LEAST` users, of
    factors three times as many: their own steps take a few milliseconds.
    """
    passes = config.passes or (0.2 if isinstance(network, Sequence) else 1.0)
    least = 3 * LEAST if isinstance(network, Factors) else LEAST
    return passes, config.every or max(1, min(steps, int(least * steps / (users * passes))))


def steps_an_epoch(learner: Any, network: nn.Module, train: Dataset) -> int:
    """Roughly how many steps the main term of an epoch takes."""
    config = learner.config
    if isinstance(network, Sequence):
        rows = float((np.maximum(train.user_counts - 1, 0) / config.max_length + 0.5).sum())
    elif isinstance(network, ClickNetwork) and not bool(network.rated):
        rows = len(train) + config.negatives * float((Negatives.of(train).free(train.user) > 0).sum())
    else:
        rows = float(len(train))
    return max(1, int(np.ceil(rows / config.batch_size)))


Parts = Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]]
"""(m,) users to their vectors (m, d), those of all items (n_items, d), and the items' biases (n_items,), if any."""


@dataclass(frozen=True, slots=True)
class Products:
    """x_ui = vector of u . vector of i + bias of i."""

    parts: Parts
    n_items: int

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        return _products(*self.parts(users), place, items)

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        drawn = np.random.default_rng([self.n_items, REFERENCES]).integers(0, self.n_items, REFERENCES)
        references = torch.as_tensor(drawn, device=users.device)
        vectors, table, bias = self.parts(users)
        # The mean of products with one vector is the product with the mean: no pair of user and reference is scored.
        usual = vectors @ table[references].mean(0)
        if bias is not None:
            usual = usual + bias[references].mean()
        return torch.sigmoid(_products(vectors, table, bias, place, items) - usual[place])


@dataclass(frozen=True, slots=True)
class Clicks:
    """Log-odds of a click network at an unknown moment after the train history."""

    network: ClickNetwork
    likes: Likes

    def __call__(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        network, history = self.network, None
        if network.length:
            codes = users.cpu().numpy().astype(np.int32)
            seen = self.likes.last(codes, self.likes.whole(codes), network.length, network.fields.n_items)
            history = torch.as_tensor(seen, device=users.device)[place]
        odds, _ = network(Rows(users[place], items, history=history))
        return odds

    def chances(self, users: Tensor, place: Tensor, items: Tensor) -> Tensor:
        return torch.sigmoid(self(users, place, items))


def _products(vectors: Tensor, table: Tensor, bias: Tensor | None, place: Tensor, items: Tensor) -> Tensor:
    x = (F.embedding(place, vectors) * F.embedding(items, table)).sum(1)
    return x if bias is None else x + bias.index_select(0, items)


def _factors(network: Factors) -> Parts:
    return lambda users: (F.embedding(users, network.users), network.items, network.bias)


def _graph(network: Graph) -> Parts:
    def parts(users: Tensor) -> tuple[Tensor, Tensor, None]:
        # The main term of the same step has propagated already, and both losses go back through it together.
        kept, network.kept = network.kept, None
        all_users, all_items = kept if kept is not None and torch.is_grad_enabled() else network.propagated()
        return F.embedding(users, all_users), all_items, None

    return parts


def _sequence(network: Sequence, train: Dataset, max_length: int) -> Parts:
    hidden = network.hidden is not None

    def parts(users: Tensor) -> tuple[Tensor, Tensor, None]:
        codes = users.cpu().numpy().astype(np.int32)
        return last_states(network, codes, train, max_length, hidden), network.items, None

    return parts
