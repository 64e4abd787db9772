"""`Blockwise`: how an agent works on a log that is read one block of users at a time.

A log of any size is cut into blocks. What concerns all of it (popularity, neighbours, a calibration) an agent takes
from `WholeLog`, and from the records of tasks on a sample of whole users; its other tasks are done block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..recsys.data import Dataset
from ..recsys.data.dataset import Longs
from .agent import Agent, Records
from .fusion import Fusion


@dataclass(frozen=True)
class WholeLog:
    """What an agent may know of the log beyond one block.

    sample: whole users, as the log was read; a small log is its own sample. counts: (n_items,) interactions of each
    item in all blocks. blocks: their number. sample_users(count, least): ids of `count` users of all blocks, among
    those with at least `least` rows.
    """

    sample: Dataset
    counts: Longs
    blocks: int
    sample_users: Callable[[int, int], frozenset[int | str]]


def no_reasons(records: Records) -> Mapping[tuple[str, int], str]:
    """For agents that state no reason of a single row."""
    return {}


def sum_figures(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of several reports added up; `rate` is computed again from `judged` and `accepted` beside it."""
    total: dict[str, Any] = {}
    for name in dict.fromkeys(key for report in reports for key in report):
        values = [report[name] for report in reports if name in report]
        if all(isinstance(value, Mapping) for value in values):
            total[name] = sum_figures(values)
        elif name == "rate":
            n_judged, accepted = (sum(report[key] for report in reports) for key in ("judged", "accepted"))
            total[name] = accepted / n_judged if n_judged else float("nan")
        else:
            total[name] = sum(values)
    return total


@dataclass(frozen=True)
class BlockTasks:
    """What an agent does with each block, and with what the blocks give together.

    agent: whose tasks are done on each block; None: the records of the sample's tasks serve every block.
    fold(block, records): the block as the records change it, before `limits`.
    report(block, records, folded): figures of one block, plain values.
    limits: quota, share and weights of generated rows, over all blocks together.
    total(reports): the figures of all blocks as one report.
    reasons(records): (record, item code) -> why that row was changed.
    """

    agent: Agent | None
    fold: Callable[[Dataset, Records], Dataset]
    report: Callable[[Dataset, Records, Dataset], dict[str, Any]]
    limits: Fusion | None = None
    total: Callable[[Sequence[dict[str, Any]]], dict[str, Any]] = sum_figures
    reasons: Callable[[Records], Mapping[tuple[str, int], str]] = no_reasons


@runtime_checkable
class Blockwise(Protocol):
    """An agent that can refine a log of several blocks."""

    def sample_tasks(self, log: WholeLog) -> Agent | None:
        """The agent whose tasks are done once, on `log.sample`, before any block; None where there are none."""

    def block_tasks(self, log: WholeLog, sample_records: Records | None) -> BlockTasks:
        """What is done with each block, given the records of `sample_tasks`. ConfigError where it needs one block."""
