"""Rows of a protocol's table (agents, references): names and answers. Rows never get to know which items were taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from langgraph.graph.state import CompiledStateGraph

from ...agents.agent import Agent, Records, Task, Tools
from ...agents.setwise import Setwise
from ...agents.setwise.judgement import windows
from ...errors import ConfigError
from ...recsys.data import Dataset
from .cases import Case

Doubles = npt.NDArray[np.float64]
Kind = Literal["reference", "plain", "loop", "recorded"]

ONCE, LOOP = "asked once, no loop", "set-wise loop"


class CutOff(Exception):
    """The run has to end here (a spent budget, a refused key); the same command resumes."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One row's answers to some cases, each aligned with what was shown; None where no usable answer came."""

    row: str
    kind: Kind
    scores: Sequence[Doubles | None]
    """Graded, higher is better; of agents in [0, 1]."""
    order: Sequence[Doubles | None]
    """What it ranks by: higher is better. Of agents the ranking stated, of others the scores."""
    calls: float = 0.0
    """A case; the walk that made a profile not counted."""
    tokens: float = 0.0

    @property
    def missing(self) -> int:
        return sum(scores is None for scores in self.scores)


@dataclass(frozen=True)
class Only:
    """An agent's tasks of these keys alone."""

    agent: Agent
    keys: frozenset[str]

    @property
    def name(self) -> str:
        return self.agent.name

    def tasks(self, data: Dataset) -> Iterator[Task]:
        return (task for task in self.agent.tasks(data) if task.key in self.keys)

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        return self.agent.graph()

    def fold(self, data: Dataset, records: Records) -> Dataset:
        return self.agent.fold(data, records)


def fitting(config: Setwise, cases: Sequence[Case]) -> Setwise:
    """The settings for lists of this length; without overlap where its windows could not judge all items equally."""
    length = max((len(case.candidates) for case in cases), default=config.candidates)
    try:
        windows(length, config.set_size, config.stride)
    except ConfigError:
        return config.model_copy(update={"candidates": length, "stride": config.set_size})
    return config.model_copy(update={"candidates": length})
