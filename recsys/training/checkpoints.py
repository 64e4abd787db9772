"""Arrays and JSON metadata in one safetensors file, replaced atomically; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...atomic import disk_errors, make_folder, write_text, write_whole
from ...errors import DataError

Arrays = dict[str, npt.NDArray[Any]]


def write(folder: Path, stem: str, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Writes `stem`.safetensors atomically, with the facts as JSON in its header.

    It is one file so that arrays and facts agree after a kill at any moment. `stem`.json is a copy of the facts for
    people and is never read. Raises ConfigError if the folder cannot be made, RunError for a full or read-only disk.
    """
    make_folder(folder)
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with disk_errors(folder, SafetensorError):
        write_whole(
            folder / f"{stem}.safetensors",
            lambda file: save_file(contiguous, file, metadata={"facts": json.dumps(facts)}),
        )
        write_text(folder / f"{stem}.json", json.dumps(facts, indent=1))


def exists(folder: Path, stem: str) -> bool:
    """Whether the folder holds a complete file of this stem."""
    return (folder / f"{stem}.safetensors").is_file()


def read(folder: Path, stem: str) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts that `write` stored. DataError, naming the file, if it is missing or damaged."""
    file = folder / f"{stem}.safetensors"
    if not file.is_file():
        raise DataError(f"{file}: no such file; save the model there first")
    try:
        with safe_open(file, framework="np") as stored:
            header = stored.metadata() or {}
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise DataError(f"{file}: damaged or cut short ({error}); save the model again") from error
    if "facts" not in header:
        raise DataError(f"{file}: was not written by recloop; save the model again")
    return arrays, json.loads(header["facts"])
