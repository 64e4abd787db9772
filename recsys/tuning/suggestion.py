"""From a space to the hyperparameters of one trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..training.space import Among, Range, Space

if TYPE_CHECKING:
    from optuna.trial import Trial

DIGITS = 3
"""Significant digits of a fractional hyperparameter: what is written down is what was trained with."""


def suggested(trial: Trial, space: Space, known: Mapping[str, Any]) -> dict[str, Any]:
    """The trial's value of every searched field whose `when` holds; `known`: the fixed values, then the defaults."""
    chosen: dict[str, Any] = {}
    for name, where in space.items():
        if all({**known, **chosen}.get(other) == value for other, value in where.when.items()):
            chosen[name] = _value(trial, name, where)
    return chosen


def start(space: Space, known: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, as far as they lie in the space, as Optuna stores them: the trial that a search begins with."""
    placed = {name: _placed(where, known[name]) for name, where in space.items() if name in known}
    return {name: value for name, value in placed.items() if value is not None}


def _value(trial: Trial, name: str, where: Range | Among) -> Any:
    if isinstance(where, Among):
        # Optuna stores numbers, texts, booleans and None; a choice such as a list of widths goes by its place.
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
