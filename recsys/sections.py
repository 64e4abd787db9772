"""Reads only the sections `data` and `train` of a YAML file, a study's or a search's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..settings import checked, read_yaml, with_settings
from .data.data_config import DataConfig, beside
from .models.train_config import TrainConfig


def data_section(path: Path | str, settings: Sequence[str] = ()) -> DataConfig:
    """The section `data`; relative paths are resolved against the file's folder.

    settings: `data.min_rating=4`-like assignments. Raises ConfigError naming file and key.
    """
    path = Path(path)
    return checked(DataConfig, beside(_section(path, "data", settings), path.parent), f"{path}: data")


def train_section(path: Path | str, settings: Sequence[str] = ()) -> TrainConfig:
    """The section `train`. Raises ConfigError naming file and key."""
    path = Path(path)
    return checked(TrainConfig, _section(path, "train", settings), f"{path}: train")


def _section(path: Path, name: str, settings: Sequence[str]) -> Mapping[str, Any]:
    values = with_settings(read_yaml(path), settings)
    if not isinstance(values.get(name), Mapping):
        raise ConfigError(f"{path}: has no section `{name}`; its keys are {', '.join(values) or 'none'}")
    section: Mapping[str, Any] = values[name]
    return section
