"""Recommenders by name, plug-ins by "package.module:Class", and how a fitted one is stored in a folder."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import pydantic

from ...errors import ConfigError, DataError
from ...settings import numbers_not_booleans
from ..registry import MODELS
from ..training import checkpoints
from ..training.config import ModelConfig
from .recommender import Recommender


class Storable(Recommender, Protocol):
    """A recommender that can be made by name, saved and loaded; every model of recloop is one."""

    Config: ClassVar[type[ModelConfig]]

    @property
    def config(self) -> ModelConfig: ...

    def state(self) -> checkpoints.Arrays:
        """What it has learnt, as arrays by name."""

    def restore(self, state: checkpoints.Arrays) -> None:
        """Takes such arrays back."""


def model_class(name: str) -> type[Any]:
    """The class of a name of `MODELS` or of "package.module:Class".

    Raises ConfigError for an unknown name, naming the nearest, and for an address that holds no recommender.
    """
    address = MODELS.get(name, name)
    module, colon, attribute = address.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(MODELS)}"
        raise ConfigError(f'model {name!r} is not known; {hint} A class of your own is named "package.module:Class"')
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"model {name!r} cannot be imported: {error}") from error
    config = getattr(kind, "Config", None)
    if not (isinstance(kind, type) and isinstance(config, type) and issubclass(config, ModelConfig)):
        raise ConfigError(
            f"model {name!r} is no recommender: it is not a class with a `Config` that derives from "
            "recloop.recsys.models.ModelConfig (see docs/plug-ins.md)"
        )
    return kind


def model(name: str, **hyperparameters: Any) -> Storable:
    """An unfitted model with its defaults and these changes.

    Raises ConfigError for an unknown model, or a hyperparameter that is unknown (naming the nearest) or out of range.
    """
    kind = model_class(name)
    fields = kind.Config.model_fields
    for key in hyperparameters:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
            raise ConfigError(f"model {name!r} has no hyperparameter {key!r}; {hint}")
    try:
        config = kind.Config(**numbers_not_booleans(kind.Config, hyperparameters, f"model {name!r}"))
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"model {name!r}: {wrong}") from error
    return cast(Storable, kind(config))


def save(fitted: Storable, folder: Path) -> None:
    """Writes a fitted model as `model.safetensors` and `model.json` into `folder`, which is made if need be."""
    kind = type(fitted)
    name, address = fitted.name, f"{kind.__module__}:{kind.__qualname__}"
    known = name in MODELS and model_class(name) is kind
    facts = {"model": name if known else address, "config": fitted.config.model_dump(mode="json")}
    checkpoints.write(folder, "model", fitted.state(), facts)


def load(folder: Path) -> Storable:
    """The model that `save` put there. DataError where the folder holds none, or a torn one."""
    arrays, facts = checkpoints.read(folder, "model")
    if not {"model", "config"} <= facts.keys():
        raise DataError(f"{folder / 'model.safetensors'}: lacks 'model' or 'config'; save the model again")
    loaded = model(facts["model"], **facts["config"])
    loaded.restore(arrays)
    return loaded
