"""What the validation side says of a network in the middle of its training: NDCG@10, or what its model judges by."""

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
from .resume import Network

Judged = TypeVar("Judged", bound=nn.Module, contravariant=True)


class Scorer(Protocol[Judged]):
    """Of a model, what it takes to rank with its network."""

    name: ClassVar[str]

    def scores(self, network: Judged, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items), as `Recommender.score`; called without gradients and in evaluation mode."""


@runtime_checkable
class Judge(Protocol[Judged]):
    """A learner that says itself what its validation side is worth; of every other one it is NDCG@10."""

    def judged(self, network: Judged, train: Dataset, valid: Dataset, ranked: Callable[[], float]) -> float:
        """A figure, the higher the better; called without gradients and in evaluation mode. `ranked` gives NDCG@10."""


def judges(valid: Dataset | None, most: int, seed: int) -> Ints:
    """The users of the validation side who are ranked, at most so many: drawn by the seed where there are more."""
    if valid is None:
        return np.empty(0, np.int32)
    users = np.flatnonzero(valid.user_counts).astype(np.int32)
    if len(users) > most:
        users = np.sort(np.random.default_rng([seed, 0]).choice(users, most, replace=False))
    return users


def judged(
    learner: Scorer[Network],
    network: Network,
    sides: Split,
    users: Ints,
    processes: Processes,
    device: torch.device,
) -> float:
    """What the validation side is worth. Processes rank a part of the users each, and take the first one's figure."""

    def ranked() -> float:
        part = users[processes.rank :: processes.count]
        ranking = evaluate(_InTraining(learner, network), sides, metrics=["ndcg@10"], side="valid", users=part)
        values = ranking.values("ndcg@10")
        defined = values[~np.isnan(values)]
        total = torch.tensor([defined.sum(), len(defined)], dtype=torch.float64).to(device)
        processes.add_up([total])
        figure, count = total.tolist()
        return figure / count if count else float("nan")

    figure = learner.judged(network, sides.train, sides.valid, ranked) if isinstance(learner, Judge) else ranked()
    return processes.from_first(lambda: figure)


@dataclass(frozen=True, slots=True)
class _InTraining(Generic[Network]):
    """A network in the middle of its training, as evaluation sees it."""

    learner: Scorer[Network]
    network: Network

    @property
    def name(self) -> str:
        return self.learner.name

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.learner.scores(self.network, users, history)
