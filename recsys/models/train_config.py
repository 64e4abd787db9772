"""`TrainConfig`: which recommenders are trained, with which hyperparameters and seeds, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from ...errors import ConfigError
from ..data.dataset import Dataset
from ..training.config import ModelConfig
from ..training.context import MOST_THREADS, check_device, check_device_name, check_seed
from .table import model, model_class


class TrainConfig(BaseModel):
    """Models, seeds and device of a training, as in a study's `train`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[dict[str, dict[str, Any]], ...] = ({"popularity": {}}, {"itemknn": {}}, {"bpr": {}}, {"sasrec": {}})
    """Names of models, each alone or with its hyperparameters: `- sasrec: {max_length: 20}`."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    """Seeds, from 0 up, none twice. A random model is fitted once per seed, a deterministic one with the first only."""
    epochs: PositiveInt | None = None
    """Largest number of epochs of every model that trains in epochs, also inside a wrapper; None leaves each model's
    default. A number among a model's hyperparameters has precedence."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 ..."""
    threads: PositiveInt = Field(1, le=MOST_THREADS)
    """CPU threads of torch. Results depend on it in the last digits, so it is part of a result's identity."""

    def check(self, train: Dataset | None = None) -> None:
        """Raises ConfigError if this machine lacks the device, or a model cannot learn from `train` because of its size
        or columns. Call it before paid steps."""
        try:
            check_device(self.device)
        except ConfigError as error:
            raise ConfigError(f"train.{error}") from None
        for entry in self.models:
            for name, given in entry.items():
                model(name, **given).config.check(train)

    def hyperparameters(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters `given` to a model of `models`, with the number of epochs after `epochs` is applied."""
        settings: dict[str, Any] = model_class(name).Config.with_epochs(given, self.epochs)
        return settings

    def seeds_for(self, config: ModelConfig) -> Sequence[int]:
        """The seeds to fit a model with: only the first if the model is deterministic."""
        return self.seeds if config.random else self.seeds[:1]

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise ValueError("write a list of models, such as [popularity, itemknn, sasrec]")
        named = [{entry: {}} if isinstance(entry, str) else entry for entry in given]
        for entry in named:
            if not isinstance(entry, Mapping) or len(entry) != 1:
                raise ValueError(f"{entry!r} is not a model; write its name, or one name with its hyperparameters")
            [(name, hyperparameters)] = entry.items()
            try:
                model(name, **(hyperparameters or {}))
            except ConfigError as error:
                raise ValueError(str(error)) from None
        names = [name for entry in named for name in entry]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} twice: the table has one line a model; make two studies of it")
        return [{name: dict(settings or {})} for entry in named for name, settings in entry.items()]

    @field_validator("seeds")
    @classmethod
    def _once(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        for seed in given:
            try:
                check_seed(seed)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        twice = sorted({seed for seed in given if given.count(seed) > 1})
        if twice:
            raise ValueError(f"{', '.join(map(str, twice))} twice: an equal seed gives an equal fit; name each once")
        return given

    @field_validator("device")
    @classmethod
    def _a_device(cls, given: str) -> str:
        try:
            check_device_name(given)
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("device: ")) from None
        return given
