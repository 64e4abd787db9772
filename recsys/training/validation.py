"""The validation metric during a training: NDCG@10, or the model's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import nn

from ..data.dataset import Dataset, Floats, Ints, Split
from ..evaluation.ranking import evaluate
from .processes import Processes
from .progress import Network

Evaluated = TypeVar("Evaluated", bound=nn.Module, contravariant=True)


class NetworkScorer(Protocol[Evaluated]):
    """The part of a model that ranking with its network needs."""

    name: ClassVar[str]

    def scores(self, network: Evaluated, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items), see `Recommender.score`; called without gradients and in evaluation mode."""


@runtime_checkable
class ValidationMetric(Protocol[Evaluated]):
    """A learner with its own validation metric; all others have NDCG@10."""

    def validation_figure(self, network: Evaluated, train: Dataset, valid: Dataset, ndcg: Callable[[], float]) -> float:
        """The metric, higher is better; called without gradients and in evaluation mode. `ndcg` computes NDCG@10."""


def validation_users(valid: Dataset | None, most: int, seed: int) -> Ints:
    """(n,) at most `most` users with validation interactions, sampled by the seed where there are more."""
    if valid is None:
        return np.empty(0, np.int32)
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if len(users) > most:
        users = np.sort(np.random.default_rng([seed, 0]).choice(users, most, replace=False))
    return users


def validation_figure(
    learner: NetworkScorer[Network],
    network: Network,
    sides: Split,
    users: Ints,
    processes: Processes,
    device: torch.device,
) -> float:
    """The learner's validation metric. Each process ranks a part of the users; all return the value of rank 0."""

    def ndcg() -> float:
        part = users[processes.rank :: processes.count]
        ranking = evaluate(_InTraining(learner, network), sides, metrics=["ndcg@10"], side="valid", users=part)
        values = ranking.values("ndcg@10")
        defined = values[~np.isnan(values)]
        total = torch.tensor([defined.sum(), len(defined)], dtype=torch.float64).to(device)
        processes.add_up([total])
        figure, count = total.tolist()
        return figure / count if count else float("nan")

    if isinstance(learner, ValidationMetric):
        figure = learner.validation_figure(network, sides.train, sides.valid, ndcg)
    else:
        figure = ndcg()
    return processes.from_first(lambda: figure)


@dataclass(frozen=True, slots=True)
class _InTraining(Generic[Network]):
    """Adapts a network in training to the protocol that evaluation needs."""

    learner: NetworkScorer[Network]
    network: Network

    @property
    def name(self) -> str:
        return self.learner.name

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.learner.scores(self.network, users, history)
