"""Protocol 2: one true next item among 19 random ones, as LLMRank asks (Hou et al. 2024, section 3); NDCG@1/5/10/20.

The variant `retrieved` puts it among what popularity, ItemKNN and EASE would have shown: hard lists, on which these
three rows rank their own choices, so that they fall below chance wherever they had not found the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .agentcf import nobody, own_history, ranked
from .bench import FidelityBench
from .cases import Case, next_item_cases, shuffled
from .outcome import Outcome, cost

CUTOFFS = (1, 5, 10, 20)


async def llmrank(bench: FidelityBench) -> Outcome:
    """NDCG of the first held-out item of each user among random and among retrieved items."""
    config, seed = bench.config.llmrank, bench.study.seed + 1
    users = bench.users(1)
    if not users:
        return Outcome("llmrank", skipped=nobody(bench, 1))
    variants = {"random": next_item_cases(bench.field, users, config.candidates, "uniform", seed)}
    if config.retrieved:
        variants["retrieved"] = retrieved_cases(bench, users, config.candidates, seed)
    values, costs, notes = [], [], []
    for variant, cases in variants.items():
        rows = [*bench.reference_answers(cases), *await bench.agents(f"llmrank-{variant}", cases)]
        values += [ranked(bench, variant, cases, row, CUTOFFS) for row in rows]
        costs += [cost(variant, row, bench.walk_cost) for row in rows if row.kind in ("plain", "loop")]
        notes.append(own_history(variant, cases, bench.field))
    return Outcome("llmrank", pd.concat(values, ignore_index=True), costs, notes)


def retrieved_cases(bench: FidelityBench, users: list[int], candidates: int, seed: int) -> list[Case]:
    """The truth among `candidates - 1` unseen items that the three retrievers put first, each in turn naming one."""
    field = bench.field
    cases = []
    for user in users:
        closed = ~field.open_items(user)
        tops = []
        for fitted in bench.references.models.values():
            scores = fitted.score(np.array([user], np.int32), field.known)[0].astype(np.float64)
            scores[closed] = -np.inf
            tops.append(np.argsort(-scores, kind="stable")[: 3 * candidates])
        in_turn = dict.fromkeys(int(item) for place in zip(*tops, strict=True) for item in place)
        truth = int(field.held.history(user)[0])
        others = [item for item in in_turn if not closed[item]][: candidates - 1]
        cases.append(shuffled(user, [truth], others, np.random.default_rng([seed, 3, user])))
    return cases
