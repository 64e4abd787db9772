"""Settings from files and options: unknown and duplicate keys are refused, with the nearest name that exists.

Top-level keys that begin with `x-` are for the user: YAML anchors can stand there. They are not read.
"""

from __future__ import annotations

import difflib
import types
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from .errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


OWN_KEYS = "x-"
"""What the top-level keys that recloop does not read begin with."""


class DuplicateKey(yaml.YAMLError):
    """A key stands twice in one mapping; the message names the key and its lines."""


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a key that stands twice in one mapping is an error and not the last value's.

    Keys that come through a merge (`<<: *anchor`) may be overridden, as YAML defines it.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if (first := lines.get((key.tag, key.value))) is not None:
                where = f"line {line}" if first == line else f"lines {first} and {line}"
                raise DuplicateKey(f"key {key.value!r} stands twice, on {where}; keep one of them")
            lines[key.tag, key.value] = line
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, also for a key that stands twice."""
    return yaml.load(text, Loader=UniqueKeyLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping, without its `x-` keys. Raises ConfigError that names file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    try:
        values = load_yaml(text)
    except DuplicateKey as error:
        raise ConfigError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, expected keys and values such as `name: my-study`")
    return own_keys_dropped(values)


def own_keys_dropped(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` without the user's own `x-` keys."""
    return {key: value for key, value in values.items() if not str(key).startswith(OWN_KEYS)}


def read_source(
    source: Path | str | Mapping[str, Any], assignments: Sequence[str], name: str
) -> tuple[dict[str, Any], Path, str]:
    """The values of a YAML file or of a mapping with the same keys, with `key=value` assignments applied to a copy.

    Returns (values, the folder that relative paths start from, what messages call the source): a file's own folder and
    its path; for a mapping the working folder and `name`. Raises ConfigError.
    """
    if isinstance(source, Mapping):
        return with_settings(own_keys_dropped(source), assignments), Path(), name
    path = Path(source)
    return with_settings(read_yaml(path), assignments), path.parent, str(path)


def with_settings(values: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A deep copy of `values` with `train.epochs=3`-like assignments made; the right side is YAML.

    Numbers in the path index lists (`steps.0.setwise.rounds=1`). Raises ConfigError for anything else.
    """
    changed = _copy(values)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise ConfigError(f"--set {assignment}: expected key=value, such as --set train.epochs=3")
        *parents, last = path.split(".")
        place: Any = changed
        for depth, key in enumerate(parents):
            if isinstance(place, dict):
                if place.get(key) is None:  # absent, or a key with nothing under it
                    place[key] = {}
                place = place[key]
            elif isinstance(place, list) and key.isdigit() and int(key) < len(place):
                place = place[int(key)]
            else:
                raise ConfigError(f"--set {assignment}: {'.'.join(parents[: depth + 1])} is not in the settings")
        try:
            value = load_yaml(text)
        except DuplicateKey as error:
            raise ConfigError(f"--set {assignment}: {error}") from None
        except yaml.YAMLError:
            raise ConfigError(f"--set {assignment}: {text!r} is not a YAML value") from None
        if isinstance(place, dict):
            place[last] = value
        elif isinstance(place, list) and last.isdigit() and int(last) < len(place):
            place[int(last)] = value
        else:
            raise ConfigError(f"--set {assignment}: {path} is not in the settings")
    return changed


def renamed_setting(values: Any, old: str, new: str) -> Any:
    """`values` with the setting `old` under its name `new`, and a warning; for `model_validator(mode="before")`."""
    if not isinstance(values, Mapping) or old not in values:
        return values
    warnings.warn(f"setting {old} is called {new} now; the old name is read for one more release", FutureWarning, 2)
    given = dict(values)
    value = given.pop(old)
    return given if new in given else {**given, new: value}


def checked(kind: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """`values` as a `kind`. Raises ConfigError with one line a fault: place, what is wrong, the nearest name."""
    numbers_not_booleans(kind, values, where)
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_fault(kind, fault, where) for fault in error.errors())) from None


def numbers_not_booleans(kind: type[BaseModel], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`values` as they are. Raises ConfigError where a number is given as true or false, which pydantic takes for 1
    and 0; fields that are settings of their own, and lists of numbers, are searched too."""
    for place in _booleans(kind, values):
        raise ConfigError(f"{where}: {place} is a number, not true or false")
    return dict(values)


def _booleans(kind: type[BaseModel], values: Mapping[str, Any]) -> Iterator[str]:
    """Places in `values` of booleans in fields of `kind` that take numbers and no booleans."""
    for name, value in values.items():
        if (field := kind.model_fields.get(name)) is None:
            continue
        leaves, inner = list(_leaves(field.annotation)), list(_classes(field.annotation))
        numbers = (int in leaves or float in leaves) and bool not in leaves and Any not in leaves
        parts = [(f"{name}.{place}", entry) for place, entry in enumerate(value)] if isinstance(value, list) else []
        if isinstance(value, Mapping) and not inner:
            parts = [(f"{name}.{key}", entry) for key, entry in value.items()]
        for place, entry in parts or [(name, value)]:
            if isinstance(entry, bool) and numbers:
                yield place
            elif isinstance(entry, Mapping):
                yield from (f"{place}.{deeper}" for model in inner for deeper in _booleans(model, entry))


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, without unions and containers."""
    if get_origin(annotation) is Literal:
        yield from (type(value) for value in get_args(annotation))
    elif get_args(annotation):
        for inner in get_args(annotation):
            yield from _leaves(inner)
    else:
        yield annotation


def _fault(kind: type[BaseModel], fault: Any, where: str) -> str:
    # A step such as `- setwise: {...}` is checked by its own class: its place is the message's, not pydantic's.
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = sorted({name for model in _models_at(kind, fault["loc"][:-1]) for name in model.model_fields})
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key {place!r}; {hint}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {place}: {message}" if place else f"{where}: {message}"


def _models_at(kind: type[BaseModel], place: Sequence[int | str]) -> list[type[BaseModel]]:
    """The classes that may stand at a place in the settings."""
    found: list[Any] = [kind]
    for part in place:
        following: list[Any] = []
        for model in found:
            field = model.model_fields.get(part) if isinstance(part, str) else None
            following.extend(_classes(field.annotation) if field else [model])
        found = following
    return [model for model in found if isinstance(model, type) and issubclass(model, BaseModel)]


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict) or get_args(annotation):
        for inner in get_args(annotation):
            yield from _classes(inner)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _copy(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _copy(value) for key, value in values.items()}
    return [_copy(value) for value in values] if isinstance(values, list) else values
