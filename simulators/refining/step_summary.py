"""The summary of one step, whose records lie in a folder for each block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ..batch.records import Totals, commonest_error, totals
from ..batch.summary import InvocationUsage, Summary


def summary_of_step(folder: Path, done: Sequence[Summary]) -> Summary:
    """The records below `folder` added up, and what the runs `done` in this invocation asked and paid for them."""
    folders = [path for path in sorted(folder.glob("*")) if path.is_dir()]
    blocks = [totals(path) for path in folders]
    counts = {one.name: sum(getattr(each, one.name) for each in blocks) for one in fields(Totals) if one.name != "cost"}
    answers = InvocationUsage(
        calls=sum(each.cached + each.paid for each in done),
        cached=sum(each.cached for each in done),
        cost=_sum([each.paid_cost for each in done]),
    )
    return Summary.of(
        Totals(**counts, cost=_sum([each.cost for each in blocks])),
        answers,
        resumed=counts["tasks"] - sum(each.tasks - each.resumed for each in done),
        seconds=sum(each.seconds for each in done),
        torn=[name for each in done for name in each.torn],
        stopped=next((each.stopped for each in done if each.stopped), ""),
        error=commonest_error(*folders) if counts["ok"] < counts["tasks"] else ("", 0),
    )


def _sum(costs: Sequence[float | None]) -> float | None:
    """None as soon as one cost is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
