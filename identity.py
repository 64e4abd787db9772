"""What a result depends on: the settings that count, the contents of the files they name, and the code that makes it.

Every field of a settings class counts unless it is marked as transport:

    concurrency: Transport[PositiveInt] = 64

A transport setting changes how fast, from where or at what price a result is made, never the result itself. Paths do
not count; what lies there does. The names of run folders, the cache keys of replies, the states of a refinement and
the files of trained cells are all made of what this module gives, so that no two of them disagree.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Collection, Mapping
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from .errors import ConfigError

T = TypeVar("T")

PACKAGE = Path(__file__).resolve().parent

SMALL = 1 << 20
"""Bytes up to which a file is read again at every call; larger ones again when their size or time has changed."""
WHOLE = 64 << 20
"""Bytes up to which a file is read whole. Of a larger one, a language model's weights, `PLACES` pieces are read."""
PLACES, PIECE = 256, 256 << 10
NOT_CONTENTS = (".md", ".partial", ".lock", "card.json")
"""Ends of the names of files that are not what a folder is for: notes, unfinished files, locks, cards of models."""


class _Marker:
    """Stands among a field's annotations and says that the field is transport."""

    def __repr__(self) -> str:
        return "transport"


TRANSPORT = _Marker()
Transport = Annotated[T, TRANSPORT]
"""The type of a setting that no result depends on."""


@runtime_checkable
class NamesContents(Protocol):
    """A settings class with fields that name files by other types than `Path`."""

    def content_paths(self) -> Mapping[str, Path]:
        """Field -> the file or folder whose contents stand for its value."""


def is_transport(kind: type[BaseModel], name: str) -> bool:
    """Whether a field of a settings class is marked as transport."""
    return TRANSPORT in kind.model_fields[name].metadata


def settings_of(config: BaseModel, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The settings that a result depends on, defaults included, as plain JSON values.

    Transport settings and those named in `without` are left out; a path becomes the digest of its contents. Raises
    ConfigError where a path leads nowhere.
    """
    contents = config.content_paths() if isinstance(config, NamesContents) else {}
    kind = type(config)
    return {
        name: _plain(contents.get(name, getattr(config, name)))
        for name in kind.model_fields
        if name not in without and not is_transport(kind, name)
    }


def contents_digest(path: Path | str) -> str:
    """16 hex digits over a file, or over all files of a folder and their names within it.

    Raises ConfigError where there is nothing. Of a file above `WHOLE` bytes, 256 pieces evenly over it are read.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return _file_digest(path)
    if not path.is_dir():
        raise ConfigError(f"{path}: no such file or folder")
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.is_file() and not hidden and not file.name.endswith(NOT_CONTENTS):
            whole.update(f"{inside.as_posix()} {_file_digest(file)}\n".encode())
    return whole.hexdigest()[:16]


def code_digest(*sources: str | type) -> str:
    """16 hex digits over the Python files of folders of this package (`recsys`), and over the files of classes.

    A class without a file, made in a session, counts by its name.
    """
    whole = hashlib.sha256()
    for source in sources:
        if isinstance(source, str):
            whole.update(_code_of_folder(source).encode())
            continue
        whole.update(f"{source.__module__}:{source.__qualname__}\n".encode())
        try:
            whole.update(_file_digest(Path(inspect.getfile(source))).encode())
        except (OSError, TypeError):
            continue
    return whole.hexdigest()[:16]


def digest(value: Any) -> str:
    """8 hex digits of a value's canonical JSON: what names results that belong together."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return settings_of(value)
    if isinstance(value, Path):
        return {"contents": contents_digest(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(inner) for inner in value), key=str)
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _file_digest(file: Path) -> str:
    status = file.stat()
    if status.st_size <= SMALL:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return _large_file_digest(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _large_file_digest(file: Path, size: int, modified: int) -> str:
    whole = hashlib.sha256(f"{size}\n".encode())
    with file.open("rb") as stream:
        if size <= WHOLE:
            while piece := stream.read(1 << 20):
                whole.update(piece)
        else:
            for place in range(PLACES):
                stream.seek((size - PIECE) * place // (PLACES - 1))
                whole.update(stream.read(PIECE))
    return whole.hexdigest()[:16]


@cache
def _code_of_folder(name: str) -> str:
    """Once a process: the code that runs is the code that was read at its start."""
    whole = hashlib.sha256()
    folder = PACKAGE / name
    for file in sorted(folder.rglob("*.py")):
        whole.update(f"{file.relative_to(folder).as_posix()} {_file_digest(file)}\n".encode())
    return whole.hexdigest()
