"""Protocol 6: what judging in sets, reflecting and accepting are each worth, at equal candidates, and what they cost.

The rows are those of `simulators.ablation`. Every row walks its own loop over the same users and is then asked for the
same held-out lists of 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..studies.ablation import MORE, POINTWISE, ROWS, SHIPPED
from .agentcf import CUTOFFS, nobody, own_history, ranked
from .bench import FidelityBench
from .cases import next_item_cases
from .outcome import Outcome

VARIANT = "held-out lists of 10"


async def setwise_value(bench: FidelityBench) -> Outcome:
    """NDCG of every setting of the loop, with calls and tokens of the walk and of one ranking, a user."""
    config = bench.config.setwise_value
    users = bench.users(1, config.users)
    if not users:
        return Outcome("setwise_value", skipped=nobody(bench, 1))
    cases = next_item_cases(bench.field, users, 10, config.negatives, bench.study.seed + 3)
    values = [ranked(bench, VARIANT, cases, row, CUTOFFS) for row in bench.reference_answers(cases)]
    once = await bench.once("value", cases)
    values.append(ranked(bench, VARIANT, cases, once, CUTOFFS))
    costs: list[dict[str, Any]] = [_cost(once.row, once.calls, once.tokens, (0.0, 0.0))]
    rows: Mapping[str, Mapping[str, Any]] = ROWS if config.rows == "short" else {**ROWS, **MORE}
    for name, changes in rows.items():
        here = bench.changed(**changes)
        answers = await here.loop("value", cases)
        table = ranked(here, VARIANT, cases, answers, CUTOFFS)
        values.append(table.assign(row=name))
        costs.append(_cost(name, answers.calls, answers.tokens, here.walk_cost))
    notes = [own_history(VARIANT, cases, bench.field), *_share(costs)]
    return Outcome("setwise_value", pd.concat(values, ignore_index=True), costs, notes)


def _cost(row: str, calls: float, tokens: float, walk: tuple[float, float]) -> dict[str, Any]:
    return {
        "variant": VARIANT,
        "row": row,
        "calls": calls,
        "tokens": tokens,
        "walk_calls": walk[0],
        "walk_tokens": walk[1],
    }


def _share(costs: list[dict[str, Any]]) -> list[str]:
    """What each way of judging needs beside point-wise judging, for a list and for a walk."""
    by_row = {entry["row"]: entry for entry in costs}
    if POINTWISE not in by_row:
        return []
    alone = by_row[POINTWISE]
    notes = []
    for row, entry in by_row.items():
        if row == SHIPPED or row.startswith("sets of"):
            ranking, walk = entry["tokens"] / alone["tokens"], entry["walk_tokens"] / alone["walk_tokens"]
            notes.append(
                f"{row}: {ranking:.2f} of the tokens of point-wise to rank a list, {walk:.2f} to walk a history"
            )
    return notes
