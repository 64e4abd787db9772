"""The contract of agents: `Task`, `Record`, `Agent`, and what a graph's nodes may use (`Tools`).

An agent makes tasks of a dataset, does one task by a LangGraph graph, and folds the records into the data. It is given
the train side of a split and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import pandas as pd

from .chat.types import Chat, Tally
from .memory.memory import Memory

if TYPE_CHECKING:  # langgraph and torch take seconds; verbs that list run folders import this module
    from langgraph.graph.state import CompiledStateGraph

    from ..recsys.data import Dataset

Status = Literal["ok", "invalid", "failed"]
"""ok: a payload; invalid: the model answered, but unusably, also after a repair; failed: no answer was to be had."""


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of LLM work. `key` is stable over runs, machines and order: `user:17`, `user:17/slate:3`."""

    key: str
    state: Mapping[str, Any]
    """What the graph starts from; it holds nothing of a validation or test side."""


@dataclass(frozen=True, slots=True)
class Record:
    """One task's outcome; a row of a Parquet part.

    `calls`, tokens and `cost` count what the answers cost when they were first made, whether this run paid for them or
    found them in the cache: they are the same in a resumed run. What a run itself paid stands in its usage.
    """

    key: str
    agent: str
    status: Status
    payload: str
    """JSON; the agent's own form, documented beside the agent. Empty where status is not ok."""
    error: str = ""
    model: str = ""
    prompts: tuple[str, ...] = ()
    """Digests of the prompts used, `name@digest`, sorted."""
    calls: int = 0
    repairs: int = 0
    unmatched: int = 0
    """Replies that named an item which was not shown; each was repaired or made the record invalid."""
    fenced: int = 0
    """Replies whose JSON had to be taken out of a Markdown fence."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0


class LazyState(Mapping[str, Any]):
    """A task's state, made on first access: a resume passes a million finished tasks in a second."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._made: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._state()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state())

    def __len__(self) -> int:
        return len(self._state())

    def _state(self) -> Mapping[str, Any]:
        if self._made is None:
            self._made = self._make()
        return self._made


Records = pd.DataFrame
"""Many `Record`s: the columns are the fields of `Record`."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a graph's nodes reach through `Runtime[Tools]`: the model, the memory, nothing else."""

    chat: Chat
    memory: Memory
    tally: Tally = field(default_factory=Tally)


class Agent(Protocol):
    """The contract of every agent; `tests/agents/contract.py` holds the tests a new one must pass."""

    @property
    def name(self) -> str:
        """What its records and its place in the usage table are named."""

    def tasks(self, data: Dataset) -> Iterator[Task]:
        """What to ask of the train side `data`; order and keys are deterministic."""

    def graph(self) -> CompiledStateGraph[Any, Tools, Any, Any]:
        """How one task is reasoned: from `Task.state` to a final state whose `payload` is what the record keeps."""

    def fold(self, data: Dataset, records: Records) -> Dataset:
        """What the records change in `data`. Pure, no LLM, re-runnable; raw rows are kept or can be restored."""


@runtime_checkable
class ExplainsNoTasks(Protocol):
    """An agent that can say why `tasks` gives none."""

    def no_tasks_reason(self, data: Dataset) -> str:
        """What the data lack for a task, in one clause."""


def longest_history(data: Dataset) -> str:
    """A clause for `no_tasks_reason`."""
    return f"the longest history has {int(data.user_counts.max(initial=0))} row(s)"


@runtime_checkable
class Reporting(Protocol):
    """An agent that reports figures of its records."""

    def report(self, data: Dataset, records: Records) -> dict[str, Any]:
        """Figures in plain values, NaN where undefined; data: what the tasks were asked of."""
