"""`TrainConfig`: which recommenders are trained, with which hyperparameters and seeds, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from ...errors import ConfigError
from .table import model


class TrainConfig(BaseModel):
    """What is trained on every variant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[dict[str, dict[str, Any]], ...] = ({"popularity": {}}, {"itemknn": {}}, {"bpr": {}}, {"sasrec": {}})
    """Names of models, each alone or with its hyperparameters: `- sasrec: {max_length: 20}`."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    epochs: PositiveInt | None = None
    """Most epochs of every model that trains in epochs; None leaves each model's own."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 ..."""
    threads: PositiveInt = 1
    """CPU threads of torch. The numbers of a run depend on it in the last digits, so it is part of a result's name."""

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, Sequence) or isinstance(given, str):
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
