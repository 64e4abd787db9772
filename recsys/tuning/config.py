"""`Tuning`: a search file: data, models, search spaces, budget and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from ...errors import ConfigError
from ...settings import checked, read_source
from ..data.data_config import DataConfig, beside
from ..evaluation import parse
from ..models.table import model, model_class
from ..models.train_config import TrainConfig
from ..training.space import Among, Range, Space, space_of

CLICK_METRICS = ("auc", "logloss")


def _listed(value: Any) -> Any:
    return {"values": value} if isinstance(value, list | tuple) else value


class TuneConfig(BaseModel):
    """How hyperparameters are searched (Optuna's TPE; the first trial is always the defaults)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trials: PositiveInt | None = 30
    """Trials of each model, failed ones included; null: as many as `minutes` allow."""
    minutes: PositiveFloat | dict[str, PositiveFloat] | None = None
    """Minutes of fitting and evaluation per model, or model -> minutes, including those before a resume. A running
    trial is finished; if `trials` is given, too, the first limit reached ends the search."""
    metric: str = "ndcg@10"
    """Metric of the validation side: a ranking metric, or auc or logloss for click models."""
    users: PositiveInt | None = 5000
    """Largest number of users ranked per trial, the same in all; null ranks all."""
    epochs: dict[str, PositiveInt] = Field(default_factory=dict)
    """Model -> largest number of epochs of a trial, for a cheaper search, which favours fast learners. `best.yaml` has
    the same limit, because the best values for few epochs may not be the best for many."""
    space: dict[str, dict[str, Annotated[Range | Among, BeforeValidator(_listed)]]] = Field(default_factory=dict)
    """Model -> hyperparameter -> a list of values, or {low, high, log}; replaces the model's own space."""
    seed: int = Field(0, ge=0)
    """Seed of the search and of the sample of users. Trainings have `train.seeds`."""

    @field_validator("metric")
    @classmethod
    def _known(cls, given: str) -> str:
        if given in CLICK_METRICS:
            return given
        try:
            named = parse(given)
        except ConfigError as error:
            raise ValueError(f"{error}; or {' or '.join(CLICK_METRICS)}, of models of clicks") from None
        if named.of_lists:
            raise ValueError(f"{named} is a property of all lists and says nothing of their accuracy; take ndcg@10")
        return str(named)

    @model_validator(mode="after")
    def _ends(self) -> TuneConfig:
        if self.trials is None and not isinstance(self.minutes, float):
            raise ValueError("neither trials nor minutes of every model: the search would never end; give one of them")
        return self

    def seconds(self, name: str) -> float:
        """Time budget of one model in seconds; infinite without `minutes`."""
        minutes = self.minutes.get(name) if isinstance(self.minutes, dict) else self.minutes
        return math.inf if minutes is None else minutes * 60

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        return "minimize" if self.metric == "logloss" else "maximize"


class Tuning(BaseModel):
    """One search: the models of `train`, each with the hyperparameters that the file does not fix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The folder's name, below `out`."""
    data: DataConfig
    train: TrainConfig
    """As in a study. Hyperparameters given here are fixed; a trial's value is the mean over `seeds`."""
    tune: TuneConfig = TuneConfig()
    out: Path = Path("runs/tune")
    """Parent folder of searches."""

    @model_validator(mode="after")
    def _searchable(self) -> Tuning:
        names = [name for name, _ in self.models]
        named = {"space": self.tune.space, "epochs": self.tune.epochs, "minutes": self.tune.minutes}
        for section, given in named.items():
            for name in given if isinstance(given, dict) else ():
                if name not in names:
                    raise ValueError(f"tune.{section} names {name!r}, which train.models does not ({', '.join(names)})")
        for name in self.tune.epochs:
            if not model(name, **dict(self.models)[name]).config.in_epochs:
                raise ValueError(f"tune.epochs names {name!r}, which is not trained in epochs that could be cut short")
        for name, fixed in self.models:
            if model(name, **fixed).config.learns_validation:
                raise ValueError(f"train.models.{name}: refit learns from the validation side, which judges the trials")
            try:
                self.space(name)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return self

    @property
    def models(self) -> list[tuple[str, dict[str, Any]]]:
        """Each model and the hyperparameters that are fixed."""
        return [(name, dict(fixed)) for entry in self.train.models for name, fixed in entry.items()]

    @property
    def folder(self) -> Path:
        return self.out / self.name

    def space(self, name: str) -> Space:
        """Search space of a model: the file's, else the model's own, without fixed hyperparameters.

        Raises ConfigError if nothing is left to search, and for a field or value that the model does not accept.
        """
        config = model_class(name).Config
        fixed = dict(self.models)[name]
        searched: Mapping[str, Range | Among] = self.tune.space.get(name) or space_of(config)
        for field in searched:
            if field not in config.model_fields:
                raise ConfigError(
                    f"tune.space.{name}: no hyperparameter {field!r}; known are {', '.join(config.model_fields)}"
                )
        searched = {field: where for field, where in searched.items() if field not in fixed}
        if not searched:
            raise ConfigError(
                f"train.models: there is nothing to search in {name!r}; leave it out, fix less of it, "
                f"or say where to search under tune.space.{name}"
            )
        return searched


def read_tuning(source: Path | str | Mapping[str, Any], settings: Sequence[str] = ()) -> Tuning:
    """The search in a YAML file, or in a dict of the same keys, with `tune.trials=10`-like assignments applied.

    Paths in a file are relative to the folder it lies in, `out` and all paths of a dict to the working folder. Raises
    ConfigError naming the file, the key and the nearest key that exists.
    """
    values, folder, where = read_source(source, settings, "search")
    if isinstance(values.get("data"), dict):
        values["data"] = beside(values["data"], folder)
    return checked(Tuning, values, where)
