"""The agents a study can name as steps, and how one is made from its settings."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..agents.agent import Agent
from ..agents.chat.types import Sampling
from ..agents.memory.memory import Embedder
from ..agents.setwise import Fold, Setwise, SetwiseAgent
from ..agents.setwise.machine import PROMPTS as SETWISE_PROMPTS
from ..errors import ConfigError
from ..settings import checked


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a study gives every agent."""

    embed: Embedder
    sampling: Sampling
    seed: int
    wording: Path | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of agent: the class of its settings, its maker, and the prompts it uses."""

    settings: type[BaseModel]
    make: Callable[[Any, Surroundings], Agent]
    prompts: tuple[str, ...]
    """Names; their digests make part of a run's identity."""
    fold_only: frozenset[str] = frozenset()
    """Settings that change what is made of the records, not the records: another value needs no new call."""


class SetwiseStep(Setwise):
    fold: Fold = Fold()


def _setwise(settings: SetwiseStep, around: Surroundings) -> SetwiseAgent:
    config = Setwise.model_validate(settings.model_dump(exclude={"fold"}))
    return SetwiseAgent(config, settings.fold, around.embed, around.sampling, around.wording, around.seed)


AGENTS: dict[str, Step] = {"setwise": Step(SetwiseStep, _setwise, SETWISE_PROMPTS, frozenset({"fold"}))}
"""Agents by name; one of your own is named "package.module:step", a `Step`."""


def step_of(name: str) -> Step:
    """The step of a name in `AGENTS` or of "package.module:attribute". Raises ConfigError with the nearest name."""
    if name in AGENTS:
        return AGENTS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, AGENTS, 1, 0.0)
        raise ConfigError(
            f"no agent {name!r}; the nearest is {near[0]!r}. One of your own is named package.module:step"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"agent {name!r} cannot be imported: {error}") from error
    if not isinstance(found, Step):
        raise ConfigError(f"agent {name!r} is a {type(found).__name__}, not a recloop.simulators.steps.Step")
    return found


def check_step(name: str, settings: Mapping[str, Any], where: str) -> BaseModel:
    """The settings of one step, checked. Raises ConfigError naming the key and the nearest one."""
    return checked(step_of(name).settings, settings, f"{where} ({name})")


def make_agent(name: str, settings: Mapping[str, Any], around: Surroundings) -> Agent:
    """The agent of one step of a study."""
    step = step_of(name)
    return step.make(check_step(name, settings, "step"), around)
