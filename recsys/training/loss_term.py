"""`LossTerm`: a further summand of any network's loss, with settings and, where it needs them, parameters of its own.

A term is a class with a `Config` and a method `terms`; the other methods have defaults. Terms stack: each sees the same
network, and one optimizer trains the network's parameters and those of all terms. In serving they are absent.
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
    """One training's further term; `learner` is the model that is trained, `network` its network.

    What a term may read of a network is its learner's: `item_table`, `user_states` (`EmbeddingModel`) and `pair_scorer`
    (`NetworkModel`), all with gradient.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: Settings | None = None) -> None:
        self.config: Settings = config or cast(Settings, self.Config())

    def identity(self) -> str:
        """Name and digest of what the term depends on besides the train side: a checkpoint of another is refused."""
        return f"{self.name}-{hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()[:12]}"

    def check(self, train: Dataset | None = None) -> None:
        """Raises ConfigError where a training would fail for what is missing here; called before anything is paid."""

    def prepare(self, train: Dataset, valid: Dataset | None) -> tuple[Dataset, Dataset | None]:
        """The sides that the network is trained on and stopped by; called once, before anything is built."""
        return train, valid

    def module(self, learner: Any, network: nn.Module, train: Dataset) -> nn.Module:
        """The term's own parameters and buffers, saved in checkpoints. torch's generator is seeded."""
        return nn.Module()

    @abstractmethod
    def terms(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> list[Term]:
        """Its summands, or none. Their batches must be able to go on for ever. Draw from a child of the generator
        (`rng.spawn(1)[0]`), so that the network's own batches are the same as without the term."""

    def finish(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> None:
        """Called once with the weights of the best epoch; nothing of the training should stay in the network."""


class WithTerms(nn.Module):
    """A network and the modules of its further terms, which one optimizer trains."""

    def __init__(self, network: nn.Module, modules: list[nn.Module]) -> None:
        super().__init__()
        self.network, self.modules_of_terms = network, nn.ModuleList(modules)
