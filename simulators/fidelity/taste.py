"""Protocol 3: which of these did the person take? k taken and k * m others in one list, as Agent4Rec asks
(Zhang et al. 2024, section 4.1), for m = 1, 2, 3, 9; and the hard variant, whose others are as popular.

Accuracy, precision, recall and F1 a user, and the AUC of the graded scores. Agents say yes from .5 on; rows without a
model do not know where to stop, so they are told k. `accuracy of k` tells everybody k: it compares like with like.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from .agentcf import nobody
from .bench import FidelityBench
from .cases import Case, taste_cases
from .outcome import Outcome, cost, tidy
from .recorded import recorded_answers
from .references import ALL_YES
from .rows import Answers
from .scoring import auc, decisions, yes_by_share

YES = 0.5
PERCENTILE = 0.8
POPULAR = "popular (top 20 %)"
"""Yes to every item above the 80th percentile of popularity in the catalogue: the rule that beats published agents."""
PROMPT = "fidelity/taste"


async def taste(bench: FidelityBench) -> Outcome:
    """A variant a ratio and a kind of others."""
    config = bench.config.taste
    values, costs, notes = [], [], []
    for kind in config.negatives:
        for ratio in config.ratios:
            variant = f"1:{ratio} {kind}"
            taken = max(1, config.items // (ratio + 1))
            users = bench.users(taken)
            if not users:
                notes.append(f"{variant}: left out, {nobody(bench, taken)}")
                continue
            cases = cases_of(bench, users, taken, ratio, kind)
            rows = [*references(bench, cases), *await bench.agents(f"taste-{variant}", cases, PROMPT)]
            values += [taste_table(bench, variant, cases, row) for row in rows]
            costs += [cost(variant, row, bench.walk_cost) for row in rows if row.kind in ("plain", "loop")]
            notes.append(f"{variant}: {len(cases)} users, {taken} taken and {taken * ratio} others each")
    if config.recorded:
        cases, recorded = recorded_answers(config.recorded, bench.field, "score")
        values += [taste_table(bench, "recorded", cases, row) for row in [*references(bench, cases), *recorded]]
        notes.append(f"recorded: {len(cases)} users")
    if not values:
        return Outcome("taste", notes=notes, skipped=notes[0] if notes else "no ratio is asked for")
    return Outcome("taste", pd.concat(values, ignore_index=True), costs, notes)


def cases_of(
    bench: FidelityBench, users: list[int], taken: int, ratio: int, kind: Literal["uniform", "popularity"]
) -> list[Case]:
    return taste_cases(bench.field, users, taken, ratio, kind, bench.study.seed, window=bench.config.taste.window)


def references(bench: FidelityBench, cases: list[Case]) -> list[Answers]:
    """The usual rows, and two that need no ranking: yes to everything, and yes to what is popular in the catalogue."""
    ones = [np.ones(len(case.candidates)) for case in cases]
    counts = bench.split.train.item_counts
    bar = np.quantile(counts[counts > 0], PERCENTILE)
    popular = [(counts[list(case.candidates)] > bar).astype(np.float64) for case in cases]
    extra = [Answers(ALL_YES, "reference", ones, ones), Answers(POPULAR, "reference", popular, popular)]
    return [*bench.reference_answers(cases), *extra]


def taste_table(bench: FidelityBench, variant: str, cases: list[Case], row: Answers) -> pd.DataFrame:
    """One row's values a user."""
    own_yes = row.kind != "reference" or row.row in (ALL_YES, POPULAR)
    columns: dict[str, list[float]] = {name: [] for name in ("auc", "accuracy", "precision", "recall", "f1")}
    columns["accuracy of k"] = []
    for case, scores in zip(cases, row.scores, strict=True):
        share = sum(case.taken) / len(case.taken)
        by_share = None if scores is None else yes_by_share(scores, share)
        own = None if scores is None else (scores >= YES).astype(np.float64)
        columns["auc"].append(auc(case, scores))
        for name, value in decisions(case, own if own_yes else by_share).items():
            columns[name].append(value)
        columns["accuracy of k"].append(decisions(case, by_share)["accuracy"])
    return tidy(bench.field.known, variant, row.row, row.kind, [case.user for case in cases], columns)
