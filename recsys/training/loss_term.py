"""`LossTerm`: an extra summand of any network's loss, with its own settings and optional parameters.

A term is a class with a `Config` and a method `terms`; the other methods have defaults. Several terms add up: one
optimizer trains the network's parameters and those of all terms. They are not used in serving.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar, cast

from torch import nn

from ..data.dataset import Dataset
from .config import Config
from .terms import Term

Settings = TypeVar("Settings", bound=Config)


class LossTerm(ABC, Generic[Settings]):
    """An extra loss term of one training; `learner` is the model in training, `network` its network.

    A term reads the network by the learner's methods `item_table`, `user_states` (`EmbeddingModel`) and `pair_scorer`
    (`NetworkModel`), all with gradient.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Settings | None = None) -> None:
        self.config: Settings = config or cast(Settings, self.Config())

    def identity(self) -> str:
        """Name and digest of everything but train that the term depends on; checkpoints of another are refused."""
        return f"{self.name}-{hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()[:12]}"

    def check(self, train: Dataset | None = None) -> None:
        """Raises ConfigError if something that a training needs is missing; called before paid steps."""

    def prepare(self, train: Dataset, valid: Dataset | None) -> tuple[Dataset, Dataset | None]:
        """The train and validation sides to use; called once, before anything is built."""
        return train, valid

    def module(self, learner: Any, network: nn.Module, train: Dataset) -> nn.Module:
        """The term's own parameters and buffers, saved in checkpoints. torch's generator has been seeded."""
        return nn.Module()

    @abstractmethod
    def terms(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> list[Term]:
        """Its summands, possibly none, with endless batches. Draw random numbers from `rng.spawn(1)[0]`, so that the
        network's own batches are the same as without the term."""

    def finish(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> None:
        """Called once with the weights of the best epoch; must undo temporary changes to the network."""


class WithTerms(nn.Module):
    """A network and the modules of its extra terms, trained by one optimizer."""

    def __init__(self, network: nn.Module, modules: list[nn.Module]) -> None:
        super().__init__()
        self.network, self.modules_of_terms = network, nn.ModuleList(modules)
