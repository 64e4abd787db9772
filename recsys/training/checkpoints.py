"""Arrays and the facts about them in one safetensors file, replaced whole or not at all; nothing is ever unpickled."""

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
    """Writes `stem`.safetensors, whole or not at all, with the facts as JSON in its header.

    One file, so that a kill at any moment leaves arrays and facts of one time. `stem`.json is a copy of the facts for
    people to read; nothing reads it back. Raises ConfigError where there can be no such folder, RunError where the disk
    refuses (full, read-only).
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
    """Whether `write` has finished there before."""
    return (folder / f"{stem}.safetensors").is_file()


def read(folder: Path, stem: str) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts that `write` put there. DataError, naming the file, where it is missing or damaged."""
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
