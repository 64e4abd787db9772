"""Reads only the sections `data` and `train` of a study or a search: a YAML file or a dict of the same keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..settings import checked, read_source
from .data.data_config import DataConfig, beside
from .models.train_config import TrainConfig

Sections = Path | str | Mapping[str, Any]
"""The path of a YAML file, or its keys and values as a dict."""


def data_section(study: Sections, settings: Sequence[str] = ()) -> DataConfig:
    """The section `data`; relative paths are resolved against the file's folder, a dict's against the working folder.

    settings: `data.min_rating=4`-like assignments. Raises ConfigError naming file and key.
    """
    section, folder, where = _section(study, "data", settings)
    return checked(DataConfig, beside(section, folder), f"{where}: data")


def train_section(study: Sections, settings: Sequence[str] = ()) -> TrainConfig:
    """The section `train`. Raises ConfigError naming file and key."""
    section, _, where = _section(study, "train", settings)
    return checked(TrainConfig, section, f"{where}: train")


def name_of(study: Sections) -> str:
    """What messages call the study: its path, or `study` for a dict."""
    return "study" if isinstance(study, Mapping) else str(study)


def _section(study: Sections, name: str, settings: Sequence[str]) -> tuple[Mapping[str, Any], Path, str]:
    values, folder, where = read_source(study, settings, name_of(study))
    if not isinstance(values.get(name), Mapping):
        raise ConfigError(f"{where}: has no section `{name}`; its keys are {', '.join(map(str, values)) or 'none'}")
    section: Mapping[str, Any] = values[name]
    return section, folder, where
