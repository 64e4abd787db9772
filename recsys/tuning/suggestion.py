"""Samples the hyperparameters of a trial from a search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..training.space import Among, Range, Space

if TYPE_CHECKING:
    from optuna.trial import Trial

DIGITS = 3
"""Significant digits of a fractional hyperparameter, so that reported values are exactly those trained with."""


def suggested(trial: Trial, space: Space, known: Mapping[str, Any]) -> dict[str, Any]:
    """The trial's values of the searched fields whose `when` holds; known: fixed values and defaults by field."""
    chosen: dict[str, Any] = {}
    for name, where in space.items():
        if all({**known, **chosen}.get(other) == value for other, value in where.when.items()):
            chosen[name] = _value(trial, name, where)
    return chosen


def start(space: Space, known: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that lie in the space, in Optuna's representation: the first trial of a search."""
    placed = {name: _placed(where, known[name]) for name, where in space.items() if name in known}
    return {name: value for name, value in placed.items() if value is not None}


def _value(trial: Trial, name: str, where: Range | Among) -> Any:
    if isinstance(where, Among):
        # Optuna stores only numbers, strings, booleans and None, so choices are stored by their index.
        place = trial.suggest_categorical(name, list(range(len(where.values))))
        return where.values[place]
    if where.whole:
        return trial.suggest_int(name, int(where.low), int(where.high), log=where.log)
    suggestion = trial.suggest_float(name, where.low, where.high, log=where.log)
    return min(max(float(f"{suggestion:.{DIGITS}g}"), float(where.low)), float(where.high))


def _placed(where: Range | Among, value: Any) -> Any:
    if isinstance(where, Among):
        return where.values.index(value) if value in where.values else None
    return value if isinstance(value, int | float) and where.low <= value <= where.high else None
