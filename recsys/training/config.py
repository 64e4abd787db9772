"""Hyperparameters: what every model takes, and what every network takes about its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ..data.dataset import Dataset
from .space import Space


class Config(BaseModel):
    """Frozen settings; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Config):
    """Hyperparameters that every recommender has, and what its settings say of its training.

    A wrapper (a model with another model inside) answers the questions below for the model inside.
    """

    refit: bool = False
    """Learn from train + validation in the end: for as many epochs as were best on validation, where the model has
    epochs."""

    space: ClassVar[Space] = {}
    """Where `recloop tune` searches; a class adds its own to what its parents have (`space_of`)."""

    @property
    def random(self) -> bool:
        """Whether another seed gives another fit, so that a study fits the model once a seed."""
        return False

    @property
    def in_epochs(self) -> bool:
        """Whether the training loop trains the model, in epochs that can be limited and resumed."""
        return False

    @property
    def learns_validation(self) -> bool:
        """Whether the fitted model has learnt from the validation side, which then cannot measure it."""
        return self.refit

    def check(self, train: Dataset | None = None) -> None:
        """Raises ConfigError where a fit would fail for what is missing here, or for the size or columns of `train`.

        Called before the steps that are paid for; `fit` checks again.
        """

    @classmethod
    def with_epochs(
        cls, hyperparameters: Mapping[str, Any], default: int | None, most: int | None = None
    ) -> dict[str, Any]:
        """`hyperparameters` with the number of epochs: as given there, else `default`, else the model's own; <= `most`.

        Unchanged for a model that does not train in epochs.
        """
        return dict(hyperparameters)


class TrainingConfig(ModelConfig):
    """Settings of every network's training; a model's own class may have other defaults."""

    epochs: PositiveInt = 100
    """At most this many passes over the training interactions."""
    batch_size: PositiveInt = 1024
    """Rows a step: interactions, or windows of history for sequence models."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    patience: PositiveInt = 10
    """Evaluations of the validation side without a better figure after which training stops: NDCG@10, or what a click
    model's `stop_on` says."""
    evaluate_every: PositiveInt = 1
    """Epochs between two evaluations on the validation side."""
    valid_users: PositiveInt = 5000
    """At most so many users are ranked in one of those evaluations; sampled once by the seed where there are more."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes forward passes under autocast; weights and Adam's moments stay fp32."""
    compile: bool = False
    """torch.compile on the network; pays on long runs only, the first epoch compiles for tens of seconds."""
    pair_weight: float = Field(1.0, ge=0)
    """Lambda: what one preference pair of weight 1 counts, in interactions; 0 ignores pairs."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 does not clip."""

    @property
    def random(self) -> bool:
        return True

    @property
    def in_epochs(self) -> bool:
        return True

    @property
    def sparse_gradients(self) -> bool:
        """Whether the network's gradients are sparse: Adam then moves only the rows that a batch touches."""
        return False

    @classmethod
    def with_epochs(
        cls, hyperparameters: Mapping[str, Any], default: int | None, most: int | None = None
    ) -> dict[str, Any]:
        if "epochs" not in hyperparameters and default is None and most is None:
            return dict(hyperparameters)
        own = hyperparameters.get("epochs", default)
        epochs = cls.model_fields["epochs"].default if own is None else own
        return {**hyperparameters, "epochs": epochs if most is None else min(epochs, most)}
