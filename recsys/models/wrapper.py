"""Settings of wrappers, recommenders that contain another one: item-to-item serving, guidance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from ..data.dataset import Dataset
from ..training.config import ModelConfig
from .table import Storable, model, model_class


class WrapperConfig(ModelConfig):
    """The inner model's name and hyperparameters; properties of the training are those of the inner model."""

    model: str = "bpr"
    """Name of the inner model."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its hyperparameters."""

    @field_validator("settings")
    @classmethod
    def _as_stored(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The settings after a round trip through JSON, so that a model read from disk has an equal config."""
        stored: dict[str, Any] = json.loads(json.dumps(given))
        return stored

    def inner_settings(self) -> dict[str, Any]:
        """Hyperparameters of the inner model."""
        return {"refit": self.refit} | self.settings

    def inner(self) -> Storable:
        """The inner model, unfitted. Raises ConfigError for an unknown model or wrong hyperparameters."""
        return model(self.model, **self.inner_settings())

    @property
    def random(self) -> bool:
        return self.inner().config.random

    @property
    def in_epochs(self) -> bool:
        return self.inner().config.in_epochs

    @property
    def learns_validation(self) -> bool:
        return self.inner().config.learns_validation

    def check(self, train: Dataset | None = None) -> None:
        self.inner().config.check(train)

    @classmethod
    def with_epochs(
        cls, hyperparameters: Mapping[str, Any], default: int | None, most: int | None = None
    ) -> dict[str, Any]:
        name = hyperparameters.get("model", cls.model_fields["model"].default)
        inner = model_class(name).Config
        before = dict(hyperparameters.get("settings", {}))
        settings = inner.with_epochs(before, default, most)
        return dict(hyperparameters) if settings == before else {**hyperparameters, "settings": settings}
