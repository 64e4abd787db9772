"""User histories for serving: a Dataset in the codes of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from ...errors import ConfigError, DataError
from ...settings import checked, with_settings
from ..data.data_config import DataConfig
from ..data.dataset import Dataset, Split
from ..data.sources import load, load_split
from ..evaluation.heldout import known_at
from ..sections import Sections, data_section
from .folder import Trained, aligned

At = Literal["now", "test", "valid"]
"""Which interactions are history. now: all; test: train + validation, as for ranking the test side; valid: train."""

Data: TypeAlias = Dataset | DataConfig | Sections | None
"""A Dataset; a DataConfig; a YAML file or a dict with a section `data`; None: the data the model was trained on."""


def data_config(data: DataConfig | Sections | None, trained: Trained | None, settings: Sequence[str]) -> DataConfig:
    """The settings of `data`, or those stored with the model. ConfigError if there are neither."""
    if isinstance(data, DataConfig):
        return data
    if data is not None:
        return data_section(data, settings)
    stored: dict[str, Any] | None = trained.facts.get("data") if trained else None
    if stored is None or trained is None:
        raise ConfigError("no data is named; give a YAML file with a section `data` (--data study.yaml)")
    return checked(DataConfig, with_settings({"data": stored}, settings)["data"], str(trained.folder))


def known(
    trained: Trained, data: Data = None, *, at: At = "now", align: bool = False, settings: Sequence[str] = ()
) -> tuple[Dataset, int]:
    """The histories that the model scores from, and the number of rows that were left out (see `aligned`)."""
    if at not in ("now", "test", "valid"):
        raise ConfigError(f"at={at!r}; write now, test or valid")
    if isinstance(data, Dataset):
        if at != "now":
            raise ConfigError("a Dataset is taken as it is; for at='test' give its settings, or the sides yourself")
        return aligned(trained, data, align=align)
    config = data_config(data, trained, settings)
    return aligned(trained, load(config) if at == "now" else known_at(load_split(config), at), align=align)


def split_of(data: DataConfig | Sections | None, trained: Trained | None, settings: Sequence[str] = ()) -> Split:
    """The split of `data`, or of the data that the model was trained on."""
    return load_split(data_config(data, trained, settings))


def check_untouched(trained: Trained, split: Split, side: Literal["valid", "test"]) -> None:
    """Raises DataError unless the model was trained on this split, which guarantees that it has not seen `side`."""
    if trained.facts.get("train") != split.train.fingerprint or trained.facts.get("valid") != split.valid.fingerprint:
        raise DataError(
            f"{trained.folder}: was trained on other rows than the train and validation sides given, so what is held "
            "out here may be among them; give the data it was trained on"
        )
    if side == "valid" and trained.facts.get("learnt_from") != "train":
        raise ConfigError(f"{trained.folder}: has learnt from the validation side (refit); judge it on side test")
