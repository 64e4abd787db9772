"""Search spaces of hyperparameters: ranges and choices, declared beside the fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import ConfigDict

from ...errors import ConfigError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; integers if both are.

    log: uniform on the logarithm. when: values of other fields on which this one depends; with other values it has no
    effect and is not searched.
    """

    low: int | float
    high: int | float
    log: bool = False
    when: Mapping[str, Any] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low:g}..{self.high:g}: low must be below high, and above 0 where log is true")

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, slots=True)
class Among:
    """One of some values, in no order. when: as in `Range`."""

    values: tuple[Any, ...]
    when: Mapping[str, Any] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError(f"{list(self.values)}: give at least two values to choose among, or set the one")


Space: TypeAlias = Mapping[str, Range | Among]
"""Field -> range or choices."""


def space_of(config: type[Any]) -> dict[str, Range | Among]:
    """The `space` of a model's Config, merged with those of its parents; the class itself has precedence.

    Raises ConfigError for a field that the Config does not have.
    """
    searched: dict[str, Range | Among] = {}
    for kind in reversed(config.__mro__):
        searched |= vars(kind).get("space", {})
    for name in searched:
        if name not in config.model_fields:
            raise ConfigError(f"{config.__name__}.space: there is no field {name!r} to search")
    return searched
