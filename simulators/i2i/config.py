"""`ItemStudy`: which models are trained on which additions, and how the curves are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from ...errors import ConfigError
from ...recsys.models import model
from ...settings import checked, own_keys_dropped, read_yaml, with_settings
from ..studies.study import Study, beside_file

MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "swing": {"i2i": {"model": "swing"}},
    "bm25": {"i2i": {"model": "itemknn", "settings": {"weighting": "bm25"}}},
    "bpr": {"i2i": {"model": "bpr"}},
    "youtubednn": {"i2i": {"model": "youtubednn"}},
}
"""The four models of LLM-I2I (arXiv 2512.21595), each served as an inverted index: label -> model -> settings."""


class ItemStudy(BaseModel):
    """What is measured of generated interactions, beside the study that says how they are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study
    """Data, llm, steps (`generate`, then `discriminate`), metrics, groups, seeds, device."""
    models: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=lambda: dict(MODELS), min_length=1)
    """Label -> one model with its hyperparameters."""
    shares: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    """Shares of the generated rows at which both curves are cut; 0 is the raw data, 1 all that was generated."""
    curves: tuple[str, ...] | None = None
    """Labels of the models whose curves are drawn; null: all."""
    users: PositiveInt | None = None
    """Most users that are judged on the test side, drawn by the seed; null: all."""
    seeds_of_curves: PositiveInt = 3
    """Draws of a random subset a point, each with a training of its own."""

    @field_validator("models")
    @classmethod
    def _one_model_a_label(cls, given: dict[str, Any]) -> dict[str, Any]:
        for label, entry in given.items():
            if len(entry) != 1:
                raise ValueError(f"{label}: write one model with its hyperparameters")
            [(name, settings)] = entry.items()
            try:
                model(name, **settings)
            except ConfigError as error:
                raise ValueError(f"{label}: {error}") from None
        return given

    @field_validator("shares")
    @classmethod
    def _ascending(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if list(given) != sorted(set(given)) or not given or given[0] < 0 or given[-1] > 1:
            raise ValueError("shares ascend within 0 and 1, each once")
        return given

    @field_validator("study")
    @classmethod
    def _two_steps(cls, given: Study) -> Study:
        names = [name for entry in given.steps for name in entry]
        if names != ["generate", "discriminate"]:
            raise ValueError(f"study.steps are {names or 'none'}; an item study needs generate, then discriminate")
        return given


def read_item_study(source: Path | str | Mapping[str, Any], assignments: Sequence[str] = ()) -> ItemStudy:
    """The item study in a YAML file, or in a mapping of the same keys, with `key=value` assignments made on it.

    The file has the fields of `ItemStudy`, the study's own under `study`; a study file as `recloop run` takes it is an
    item study with the defaults, and `key=value` then names the study's keys. Paths are relative to the file's folder,
    those of a mapping to the working folder. Raises ConfigError naming file and key.
    """
    values: dict[str, Any] = own_keys_dropped(source) if isinstance(source, Mapping) else read_yaml(Path(source))
    nested = isinstance(values.get("study"), dict)
    # A plain study file keeps its own keys for `--set`: train.epochs=3, as for `recloop run`.
    values = with_settings(values, assignments) if nested else {"study": with_settings(values, assignments)}
    if isinstance(source, Mapping):
        return checked(ItemStudy, values, "item study")
    return checked(ItemStudy, {**values, "study": beside_file(values["study"], Path(source).parent)}, str(source))
