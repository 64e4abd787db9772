"""Base classes of hyperparameters: `ModelConfig` of every model, `TrainingConfig` of every network."""

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
    """Hyperparameters of every recommender, and properties of its training that follow from them.

    The properties of a wrapper (a model that contains another one) are those of the inner model.
    """

    refit: bool = False
    """Finally fit on train + validation; a model with epochs for the number of epochs that was best on validation."""

    space: ClassVar[Space] = {}
    """Search space of `recloop tune`; a class extends that of its parents (`space_of`)."""

    @property
    def random(self) -> bool:
        """Whether the fit depends on the seed; if so, a study fits the model once per seed."""
        return False

    @property
    def in_epochs(self) -> bool:
        """Whether the training loop trains the model, in epochs that can be limited and resumed from."""
        return False

    @property
    def learns_validation(self) -> bool:
        """Whether the fitted model has learnt from the validation side, on which it then cannot be evaluated."""
        return self.refit

    def check(self, train: Dataset | None = None) -> None:
        """Raises ConfigError if a fit would fail: a file or package is missing, or `train` is too large or lacks a
        column. Called before paid steps; `fit` checks again.
        """

    @classmethod
    def with_epochs(
        cls, hyperparameters: Mapping[str, Any], default: int | None, most: int | None = None
    ) -> dict[str, Any]:
        """`hyperparameters` with `epochs`: as given there, else `default`, else the model's default; at most `most`.

        Unchanged for a model that does not train in epochs.
        """
        return dict(hyperparameters)


class TrainingConfig(ModelConfig):
    """Settings of every network's training; a model may have other defaults."""

    epochs: PositiveInt = 100
    """Largest number of passes over the training interactions."""
    batch_size: PositiveInt = 1024
    """Rows per step: interactions, or windows of history for sequence models."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    patience: PositiveInt = 10
    """Evaluations of the validation side without improvement after which training stops: of NDCG@10, or of a click
    model's `stop_on`."""
    evaluate_every: PositiveInt = 1
    """Epochs between two evaluations on the validation side."""
    valid_users: PositiveInt = 5000
    """Largest number of users ranked per evaluation; sampled once by the seed where there are more."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs forward passes under autocast; weights and Adam's moments stay fp32."""
    compile: bool = False
    """torch.compile of the network, for long trainings only: the first epoch compiles for tens of seconds."""
    pair_weight: float = Field(1.0, ge=0)
    """Weight of a preference pair of weight 1, in interactions; 0 ignores pairs."""
    clip: NonNegativeFloat = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    terms: tuple[dict[str, dict[str, Any]], ...] = ()
    """Loss terms added to the network's own: names, each alone or with its settings (`- guidance: {weight: 0.3}`);
    one of your own is named `package.module:Class`."""

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
        """Whether the network's gradients are sparse: Adam then updates only the rows of a batch."""
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
    """`values` as an object of class `kind`.

    Raises ConfigError for an unknown key, naming the nearest, and a value out of range; its message begins with `where`
    and calls keys `noun`.
    """
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
    """The `LossTerm` of a name of `TERMS` or an address "package.module:Class". Raises ConfigError for a wrong one."""
    kind = class_of(name, TERMS, "loss term", Config)
    return kind(configured(kind.Config, settings, f"loss term {name!r}", "setting"))
