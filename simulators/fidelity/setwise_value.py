"""Protocol 6: what judging in sets, reflecting and accepting are each worth, at equal candidates, and what they cost.

The rows are those of `simulators.ablation`, with set sizes 3 and 5 and rounds 0 to 3 besides. Every row walks its own
loop over the same users and is then asked for the same held-out lists of 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..ablation import ROWS
from .agentcf import CUTOFFS, nobody, own_history, ranked
from .bench import Bench
from .cases import next_item_cases
from .outcome import Outcome

VARIANT = "held-out lists of 10"
MORE: dict[str, dict[str, Any]] = {
    "sets of 3, overlap 2": {"set_size": 3, "stride": 1},
    "sets of 3, no overlap": {"set_size": 3, "stride": 3},
    "sets of 5, overlap 4": {"set_size": 5, "stride": 1},
    "sets of 5, no overlap": {"set_size": 5, "stride": 5},
    "1 round": {"rounds": 1},
    "3 rounds": {"rounds": 3},
}
"""Name -> what differs from the study's own settings; `ROWS` has 0 rounds (no reflection), and its first row is 2."""
SETWISE, POINTWISE = list(ROWS)[:2]


async def setwise_value(bench: Bench) -> Outcome:
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
        found = ranked(here, VARIANT, cases, answers, CUTOFFS)
        values.append(found.assign(row=name))
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
    """What judging in sets needs beside point-wise judging, for a list and, where sets overlap, for a judgement."""
    by_row = {entry["row"]: entry for entry in costs}
    if POINTWISE not in by_row:
        return []
    alone = by_row[POINTWISE]
    said = []
    for row, each in ((SETWISE, 2), ("no overlap (4, 4, 2)", 1), ("sets of 5, no overlap", 1)):
        if row in by_row:
            ranking = by_row[row]["tokens"] / alone["tokens"]
            walk = by_row[row]["walk_tokens"] / alone["walk_tokens"]
            more = f", {ranking / each:.2f} a judgement of an item ({each} each)" if each > 1 else ""
            said.append(
                f"{row}: {ranking:.2f} of the tokens of point-wise to rank a list{more}; {walk:.2f} to walk a history"
            )
    return said
