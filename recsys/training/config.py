"""Hyperparameters: what every model takes, and what every network takes about its training."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from ...errors import ConfigError
from ...settings import numbers_not_booleans
from ..data.dataset import Dataset
from ..registry import TERMS, class_of
from .space import Space

Settings = TypeVar("Settings", bound="Config")


class Config(BaseModel):
    """Frozen settings; an unknown key is refused, and so are numbers that are infinite or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    terms: tuple[dict[str, dict[str, Any]], ...] = ()
    """Loss terms beside the network's own, which add up: names, each alone or with its settings
    (`- guidance: {weight: 0.3}`), or `package.module:Class` of one's own."""

    @field_validator("terms", mode="before")
    @classmethod
    def _known_terms(cls, given: Any) -> Any:
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise ValueError("write a list of loss terms, such as [guidance] or [{guidance: {weight: 0.3}}]")
        named = [{entry: {}} if isinstance(entry, str) else entry for entry in given]
        for entry in named:
            if not isinstance(entry, Mapping) or len(entry) != 1:
                raise ValueError(f"{entry!r} is not a loss term; write its name, or one name with its settings")
            for name, settings in entry.items():
                try:
                    loss_term(name, settings or {})
                except ConfigError as error:
                    raise ValueError(str(error)) from None
        return tuple({name: dict(settings or {})} for entry in named for name, settings in entry.items())

    @property
    def random(self) -> bool:
        return True

    @property
    def in_epochs(self) -> bool:
        return True

    def check(self, train: Dataset | None = None) -> None:
        for entry in self.terms:
            for name, settings in entry.items():
                loss_term(name, settings).check(train)

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


def configured(kind: type[Settings], values: Mapping[str, Any], where: str, noun: str) -> Settings:
    """`values` as a `kind`. Raises ConfigError, opened by `where`, for a key (called `noun`) that is unknown, naming
    the nearest, or a value out of range."""
    fields = kind.model_fields
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
            raise ConfigError(f"{where} has no {noun} {key!r}; {hint}")
    try:
        return kind(**numbers_not_booleans(kind, values, where))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{where}: {wrong}") from error


def loss_term(name: str, settings: Mapping[str, Any]) -> Any:
    """The loss term of a name of `TERMS` or of "package.module:Class", a `LossTerm`; ConfigError for a wrong one."""
    kind = class_of(name, TERMS, "loss term", Config)
    return kind(configured(kind.Config, settings, f"loss term {name!r}", "setting"))
