"""Protocol 1: the true next item ranked among others, as AgentCF asks (Zhang et al. 2023, section 4.1).

10 candidates, NDCG@1/5/10. On the authors' own samples with the lists they ship; on any data with drawn ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ...agents.setwise.state import counts_of
from ...errors import DataError
from .bench import FidelityBench
from .cases import Case, Field, next_item_cases, shuffled
from .outcome import Outcome, cost, tidy
from .recorded import recorded_answers
from .rows import LOOP, Answers
from .scoring import ndcg

CUTOFFS = (1, 5, 10)


async def agentcf(bench: FidelityBench) -> Outcome:
    """NDCG of the first held-out item of each user, a variant a kind of list."""
    config, field, seed = bench.config.agentcf, bench.field, bench.study.seed
    users = bench.users(1)
    if not users:
        return Outcome("agentcf", skipped=nobody(bench, 1))
    variants: dict[str, list[Case]] = {}
    if config.lists is not None:
        variants["given lists"] = given_lists(config.lists, field, users, config.candidates, seed)
    else:
        for kind in config.negatives:
            variants[kind] = next_item_cases(field, users, config.candidates, kind, seed)
    values, costs, notes = [], [], []
    for variant, cases in variants.items():
        rows = [*bench.reference_answers(cases), *await bench.agents(f"agentcf-{variant}", cases)]
        values += [ranked(bench, variant, cases, row, CUTOFFS) for row in rows]
        costs += [cost(variant, row, bench.walk_cost) for row in rows if row.kind in ("plain", "loop")]
        notes.append(own_history(variant, cases, field))
    if bench.config.loop:
        notes.append(await claims_note(bench, users))
    if config.recorded:
        cases, recorded = recorded_answers(config.recorded, field, "ranking")
        rows = [*bench.reference_answers(cases), *recorded]
        values += [ranked(bench, "recorded", cases, row, CUTOFFS) for row in rows]
        notes.append(own_history("recorded", cases, field))
    return Outcome("agentcf", pd.concat(values, ignore_index=True), costs, notes)


def ranked(
    bench: FidelityBench, variant: str, cases: list[Case], row: Answers, cutoffs: tuple[int, ...]
) -> pd.DataFrame:
    """One row's NDCG a user."""
    values = ndcg(cases, row.order, bench.field.known, cutoffs)
    users = [case.user for case in cases]
    return tidy(bench.field.known, variant, row.row, row.kind, users, {k: v.tolist() for k, v in values.items()})


def given_lists(path: Path, field: Field, users: list[int], candidates: int, seed: int) -> list[Case]:
    """Cases whose others are the first `candidates - 1` ids of the user's line, the truth left out; then shuffled.

    path: lines of a user id, a tab, and item ids with blanks between. DataError for a user or item that the data or the
    file lacks.
    """
    code = {str(item_id): item for item, item_id in enumerate(field.known.items["item_id"])}
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: candidate lists cannot be read ({error})") from error
    listed = {line[0]: line[-1].split() for line in lines}
    cases = []
    for user in users:
        user_id = str(field.known.users["user_id"].iat[user])
        if user_id not in listed:
            raise DataError(f"{path}: no list for user {user_id!r}; give each user a line")
        unknown = [item for item in listed[user_id] if item not in code]
        if unknown:
            raise DataError(f"{path}: item {unknown[0]!r} of user {user_id!r} is not in the data")
        truth = int(field.held.history(user)[0])
        others = [code[item] for item in listed[user_id] if code[item] != truth][: candidates - 1]
        cases.append(shuffled(user, [truth], others, np.random.default_rng([seed, 1, user])))
    return cases


def own_history(variant: str, cases: list[Case], field: Field) -> str:
    """How the user's own items among the candidates are treated, and how many there are."""
    own = sum(
        item in set(field.known.history(c.user).tolist()) for c in cases for item in c.candidates if item != c.truth
    )
    others = sum(len(case.candidates) - 1 for case in cases)
    return (
        f"{variant}: {len(cases)} users; {own} of the {others} other candidates stand in the user's own known history "
        "and are ranked like any other"
    )


async def claims_note(bench: FidelityBench, users: list[int]) -> str:
    """A sentence that counts the claims of the loop's walks: written, dropped, forgotten; and rewrites accepted."""
    counts = counts_of(await bench.walk(users))
    if not counts:
        return f"{LOOP}: no walk came to an end"
    return (
        f"{LOOP}: {counts['claims']} claims were written, {counts['uncited']} dropped for citing nothing and "
        f"{counts['unshown']} for citing what was not shown, {counts['forgotten']} forgotten; of {counts['rewrites']} "
        f"rewrites {counts['kept']} were kept"
        + (f"; without any effect {counts['noop_share']:.0%} would have been" if "noop_share" in counts else "")
    )


def nobody(bench: FidelityBench, held: int) -> str:
    return (
        f"no user has {held} item(s) held out and {bench.config.min_history} known; hold out more "
        f"(data.split: {{leave_last_out: {{valid: 0, test: {max(10, held)}}}}}) or lower fidelity.min_history"
    )
