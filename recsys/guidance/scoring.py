"""x_ui of any network, with gradient: what the guidance compares, from each network's own parts."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ..batches import Negatives
from ..clicks.embedding import Rows
from ..clicks.network import ClickNetwork, likes_of
from ..data.dataset import Dataset
from ..models.bpr import Factors
from ..models.lightgcn import Graph
from ..models.sequence import Sequence, last_states
from .selective import Selective

REFERENCES = 64
"""Items whose mean score a ranking model's scores are held against, to be read as chances."""


class Scorer(Protocol):
    """users, items: (n,) codes, to (n,) scores at the end of the train history."""

    def __call__(self, users: Tensor, items: Tensor) -> Tensor: ...


def scorer_of(learner: Any, network: nn.Module, train: Dataset) -> Scorer:
    """How `network`, which `learner` has built for `train`, scores single pairs.

    Users and items that stand several times are computed once where that is the dear part (a state, a propagation).
    Raises ConfigError for a network that is none of recloop's.
    """
    if isinstance(network, Factors):
        if network.lazy:
            raise ConfigError("guidance reads tables as a whole, and lazy ones have sparse gradients; set lazy: false")
        return _factors(network)
    if isinstance(network, Graph):
        return _graph(network)
    if isinstance(network, Sequence):
        return _sequence(network, train, learner.config.max_length)
    if isinstance(network, ClickNetwork):
        return _clicks(network, train, learner.config.threshold)
    raise ConfigError(
        f"guidance cannot score single pairs of {type(network).__name__}; it knows BPR, LightGCN, the sequence models "
        "and the click models"
    )


def chances(learner: Any, network: nn.Module, score: Scorer, train: Dataset, users: Tensor, items: Tensor) -> Tensor:
    """(n,) scores read as chances in (0, 1): of a click, or, of ranking models, of standing above an average item.

    The average item is the mean over `REFERENCES` items, the same ones for everybody.
    """
    if isinstance(network, ClickNetwork):
        return torch.sigmoid(score(users, items))
    drawn = np.random.default_rng([train.n_items, REFERENCES]).integers(0, train.n_items, REFERENCES)
    references = torch.as_tensor(drawn, device=users.device)
    distinct, place = users.unique(return_inverse=True)
    # One call: a propagation or a state is then computed once for both.
    everyone = torch.cat([users, distinct.repeat_interleave(REFERENCES)])
    x, usual = score(everyone, torch.cat([items, references.repeat(len(distinct))])).split(
        [len(users), len(everyone) - len(users)]
    )
    return torch.sigmoid(x - usual.reshape(-1, REFERENCES).mean(1)[place])


def pace(network: nn.Module, config: Selective) -> tuple[float, int]:
    """(passes an epoch, steps from one acting step to the next); what the settings leave open goes by the network."""
    passes = config.passes or (0.2 if isinstance(network, Sequence) else 1.0)
    return passes, config.every or (5 if isinstance(network, Graph) else 1)


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


def _factors(network: Factors) -> Scorer:
    def score(users: Tensor, items: Tensor) -> Tensor:
        product = F.embedding(users, network.users) * F.embedding(items, network.items)
        return product.sum(1) + network.bias[items]

    return score


def _graph(network: Graph) -> Scorer:
    def score(users: Tensor, items: Tensor) -> Tensor:
        all_users, all_items = network.propagated()
        return (F.embedding(users, all_users) * F.embedding(items, all_items)).sum(1)

    return score


def _sequence(network: Sequence, train: Dataset, max_length: int) -> Scorer:
    hidden = network.hidden is not None

    def score(users: Tensor, items: Tensor) -> Tensor:
        distinct, place = users.unique(return_inverse=True)
        states = last_states(network, distinct.cpu().numpy().astype(np.int32), train, max_length, hidden)
        return (F.embedding(place, states) * F.embedding(items, network.items)).sum(1)

    return score


def _clicks(network: ClickNetwork, train: Dataset, threshold: float) -> Scorer:
    likes = likes_of(network, train, threshold)

    def score(users: Tensor, items: Tensor) -> Tensor:
        history = None
        if network.length:
            codes = users.cpu().numpy().astype(np.int32)
            seen = likes.last(codes, likes.whole(codes), network.length, network.fields.n_items)
            history = torch.as_tensor(seen, device=users.device)
        odds, _ = network(Rows(users, items, history=history))
        return odds

    return score
