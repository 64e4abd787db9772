"""Making recommenders by name or address ("package.module:Class"), saving and loading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from ...errors import DataError
from ..registry import MODELS, class_of
from ..training import checkpoints
from ..training.config import ModelConfig, configured
from .recommender import Recommender


class Storable(Recommender, Protocol):
    """A recommender that can be made by name, saved and loaded; every model of recloop is one."""

    Config: ClassVar[type[ModelConfig]]

    @property
    def config(self) -> ModelConfig: ...

    def state(self) -> checkpoints.Arrays:
        """The learnt parameters, as arrays by name."""

    def restore(self, state: checkpoints.Arrays) -> None:
        """Sets the parameters from the output of `state`."""


def model_class(name: str) -> type[Any]:
    """The class of a name of `MODELS` or of "package.module:Class".

    Raises ConfigError for an unknown name, naming the nearest, and for an address that holds no recommender.
    """
    return class_of(name, MODELS, "model", ModelConfig)


def model(name: str, **hyperparameters: Any) -> Storable:
    """An unfitted model with its defaults and these changes.

    Raises ConfigError for an unknown model, or a hyperparameter that is unknown (naming the nearest) or out of range.
    """
    kind = model_class(name)
    return cast(Storable, kind(configured(kind.Config, hyperparameters, f"model {name!r}", "hyperparameter")))


def save(fitted: Storable, folder: Path) -> None:
    """Writes a fitted model as `model.safetensors` and `model.json` into `folder`, created if missing."""
    kind = type(fitted)
    name, address = fitted.name, f"{kind.__module__}:{kind.__qualname__}"
    known = name in MODELS and model_class(name) is kind
    facts = {"model": name if known else address, "config": fitted.config.model_dump(mode="json")}
    checkpoints.write(folder, "model", fitted.state(), facts)


def load(folder: Path) -> Storable:
    """The model that `save` wrote. DataError if the folder holds none or a damaged one."""
    arrays, facts = checkpoints.read(folder, "model")
    if not {"model", "config"} <= facts.keys():
        raise DataError(f"{folder / 'model.safetensors'}: lacks 'model' or 'config'; save the model again")
    loaded = model(facts["model"], **facts["config"])
    loaded.restore(arrays)
    return loaded
