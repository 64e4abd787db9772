"""The models by name, plug-ins by "package.module:Class", and how a fitted one is kept on disk."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import pydantic

from ...errors import ConfigError, DataError
from ..clicks.table import CLICK_MODELS
from ..training import checkpoints
from .bert4rec import BERT4Rec
from .bpr import BPR
from .ease import EASE
from .gru4rec import GRU4Rec
from .ials import IALS
from .item_to_item import ItemToItem
from .itemknn import ItemKNN
from .lightgcn import LightGCN
from .popularity import Popularity
from .recommender import ModelConfig, Recommender
from .sasrec import SASRec
from .swing import Swing
from .youtubednn import YoutubeDNN


class Storable(Recommender, Protocol):
    """A recommender that can also be built by name, saved and loaded; every model of recloop is one."""

    Config: ClassVar[type[ModelConfig]]

    @property
    def config(self) -> ModelConfig: ...

    def state(self) -> checkpoints.Arrays:
        """What it has learnt, as arrays by name."""

    def restore(self, state: checkpoints.Arrays) -> None:
        """Takes such arrays back."""


MODELS: dict[str, type[Any]] = {
    "popularity": Popularity,
    "itemknn": ItemKNN,
    "swing": Swing,
    "ease": EASE,
    "ials": IALS,
    "bpr": BPR,
    "lightgcn": LightGCN,
    "youtubednn": YoutubeDNN,
    "gru4rec": GRU4Rec,
    "sasrec": SASRec,
    "bert4rec": BERT4Rec,
    "i2i": ItemToItem,
    **CLICK_MODELS,
}


def model_class(name: str) -> type[Any]:
    """The class of a name of `MODELS` or of "package.module:Class". ConfigError names the nearest name."""
    if name in MODELS:
        return MODELS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(MODELS)}"
        raise ConfigError(f'model {name!r} is not known; {hint} A class of your own is named "package.module:Class"')
    try:
        return cast(type[Any], getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model {name!r} cannot be imported: {error}") from error


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
        config = kind.Config(**hyperparameters)
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"model {name!r}: {wrong}") from error
    return cast(Storable, kind(config))


def save(fitted: Storable, folder: Path) -> None:
    """Writes a fitted model as `model.safetensors` and `model.json` into `folder`, which is made if need be."""
    kind = type(fitted)
    name = fitted.name if MODELS.get(fitted.name) is kind else f"{kind.__module__}:{kind.__qualname__}"
    checkpoints.write(folder, "model", fitted.state(), {"model": name, "config": fitted.config.model_dump(mode="json")})


def load(folder: Path) -> Storable:
    """The model that `save` put there. DataError where the folder holds none, or a torn one."""
    arrays, facts = checkpoints.read(folder, "model")
    if not {"model", "config"} <= facts.keys():
        raise DataError(f"{folder / 'model.safetensors'}: lacks 'model' or 'config'; save the model again")
    loaded = model(facts["model"], **facts["config"])
    loaded.restore(arrays)
    return loaded
