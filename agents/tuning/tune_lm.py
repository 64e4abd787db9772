"""`tune_lm`: fine-tuning with the data and settings of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from ...errors import ConfigError
from ...recsys.data.data_config import DataConfig, beside
from ...recsys.data.dataset import Dataset
from ...recsys.data.sources import load_split
from ...recsys.data.windows import read_windows, side_of
from ...settings import checked, read_source
from .config import TuneLM
from .training import Say
from .tune_on import Tuned, tune_on

_TRAIN, _VALID = "train_5000", "valid"


class TuneLMFile(BaseModel):
    """The file of `recloop tune-lm`: data and settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig | None = None
    """As in a study; the model learns from the split's train side and stops by its validation side."""
    windows: Path | None = None
    """Instead of `data`: a folder of windows, train_5000.csv and valid.csv; their column `mask` is not read."""
    tune_lm: TuneLM

    @model_validator(mode="after")
    def _one_source(self) -> TuneLMFile:
        if (self.data is None) == (self.windows is None):
            raise ValueError("give either data or windows")
        return self


def tune_lm(
    file: TuneLMFile | Path | str | Mapping[str, Any],
    out: Path | str,
    settings: Sequence[str] = (),
    *,
    device: str = "auto",
    progress: Say | None = None,
) -> Tuned:
    """Tunes the language model named in `file` on its data and saves the result and a card in `out`.

    file: a TuneLMFile, its keys and values as a dict, or the path of its YAML file; on the last two, `settings`
    (`tune_lm.epochs=3`) are applied. Paths in a file are relative to its folder, those of a dict to the working folder.
    The same call resumes an interrupted training. Raises ConfigError and DataError for wrong input.
    """
    if not isinstance(file, TuneLMFile):
        file = read_tune_lm(file, settings)
    elif settings:
        raise ConfigError("settings change a file's values; give the path or a dict, or make a changed TuneLMFile")
    train, valid = sides_of(file)
    return tune_on(file.tune_lm, train, valid, out, device=device, say=progress)


def read_tune_lm(source: Path | str | Mapping[str, Any], settings: Sequence[str] = ()) -> TuneLMFile:
    """The settings of a YAML file or of a dict, with assignments such as `tune_lm.epochs=3` applied."""
    values, folder, where = read_source(source, settings, "tune_lm")
    if isinstance(values.get("data"), dict):
        values["data"] = beside(values["data"], folder)
    for section, key in ((values, "windows"), (values.get("tune_lm"), "model")):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str(folder / section[key])
    return checked(TuneLMFile, values, where)


def sides_of(file: TuneLMFile) -> tuple[Dataset, Dataset]:
    """(train, validation) over the same users and items. The test side is dropped here."""
    if file.data is not None:
        split = load_split(file.data)
        return split.train, split.valid
    assert file.windows is not None
    paths = [file.windows / f"{side}.csv" for side in (_TRAIN, _VALID)]
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"windows: there is no {path}; name a folder with {_TRAIN}.csv and {_VALID}.csv")
    data = read_windows(file.windows)
    return data.rows(side_of(data, _TRAIN)), data.rows(side_of(data, _VALID))
