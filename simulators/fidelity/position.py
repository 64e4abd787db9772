"""Protocol 5: the same lists in k orders: how much of a ranking is the place at which an item was shown?

Each list is shown k times, turned by 1/k of its length each time after one shuffle, so that every item is seen at k
places. `position share` is the part of the variance of ranks that the place explains, by the mean rank of that place
over all other users: what is measured on others cannot fit this user's noise. Averaging the k orders is the remedy; it
costs k times the calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from .agentcf import nobody
from .bench import FidelityBench
from .cases import Case, next_item_cases
from .outcome import Outcome, cost, tidy
from .rows import Answers
from .scoring import kendall, ndcg

Doubles = npt.NDArray[np.float64]
ONE, ALL = "one order", "mean of all orders"
VARIANT = "turned lists"


async def position(bench: FidelityBench) -> Outcome:
    """Agreement, position share, and NDCG@10 of one order and of their mean, a row and user."""
    config = bench.config.position
    users = bench.users(1)
    if not users:
        return Outcome("position", skipped=nobody(bench, 1))
    base = next_item_cases(bench.field, users, config.candidates, "uniform", bench.study.seed + 2)
    turned = [turns(base, turn, config.permutations) for turn in range(config.permutations)]
    answers: dict[str, list[Answers]] = {}
    for turn, cases in enumerate(turned):
        for row in [*bench.reference_answers(cases), *await bench.agents(f"position-{turn}", cases)]:
            answers.setdefault(row.row, []).append(row)
    values, costs, places = [], [], {}
    for name, rows in answers.items():
        measured, places[name] = measure(turned, rows, bench)
        values.append(tidy(bench.field.known, VARIANT, name, rows[0].kind, users, measured))
        if rows[0].kind in ("plain", "loop"):
            costs.append(cost(ONE, rows[0], bench.walk_cost))
            together = Answers(name, rows[0].kind, (), (), sum(r.calls for r in rows), sum(r.tokens for r in rows))
            costs.append(cost(ALL, together, bench.walk_cost))
    gains = gain_of_averaging(pd.concat(values, ignore_index=True), bench)
    notes = [f"{len(users)} users, {config.permutations} orders of {config.candidates} candidates each", *gains]
    return Outcome(
        "position", pd.concat(values, ignore_index=True), costs, notes, detail={"mean rank by place": places}
    )


def turns(cases: Sequence[Case], turn: int, count: int) -> list[Case]:
    """Each list turned by turn / count of its length."""
    tables = []
    for case in cases:
        n = len(case.candidates)
        shift = round(turn * n / count)
        tables.append(case.reordered([(place + shift) % n for place in range(n)]))
    return tables


def measure(
    turned: Sequence[Sequence[Case]], rows: Sequence[Answers], bench: FidelityBench
) -> tuple[dict[str, list[float]], list[float]]:
    """The metrics a user, and the mean rank (0 first, 1 last) at each place over all users."""
    known = bench.field.known
    ranks = rank_table(turned, rows)
    shares, by_place = position_shares(ranks)
    single = np.mean([ndcg(c, r.order, known, (10,))["ndcg@10"] for c, r in zip(turned, rows, strict=True)], axis=0)
    base = turned[0]
    together: list[Doubles | None] = []
    agreement = []
    for user, case in enumerate(base):
        if np.isnan(ranks[user]).any():
            together.append(None)
            agreement.append(float("nan"))
            continue
        by_item = [_by_item(cases[user], ranks[user, turn], case) for turn, cases in enumerate(turned)]
        together.append(-np.mean(by_item, axis=0))
        pairs = [kendall(a, b) for i, a in enumerate(by_item) for b in by_item[i + 1 :]]
        agreement.append(float(np.mean(pairs)))
    averaged = ndcg(base, together, known, (10,))["ndcg@10"]
    return {
        "position share": shares.tolist(),
        "agreement (tau)": agreement,
        f"ndcg@10, {ONE}": single.tolist(),
        f"ndcg@10, {ALL}": averaged.tolist(),
    }, by_place.tolist()


def rank_table(turned: Sequence[Sequence[Case]], rows: Sequence[Answers]) -> Doubles:
    """(users, turns, places) the normalised rank, 0 first and 1 last, that was given to what stood at a place.

    Ties share their mean rank; NaN where a row gave no answer.
    """
    users, places = len(turned[0]), len(turned[0][0].candidates)
    table = np.full((users, len(turned), places), np.nan)
    for turn, row in enumerate(rows):
        for user, order in enumerate(row.order):
            if order is not None:
                table[user, turn] = (rankdata(-order) - 1) / max(1, places - 1)
    return table


def position_shares(ranks: Doubles) -> tuple[Doubles, Doubles]:
    """(users,) the share of each user's variance of ranks that the place explains, and (places,) its mean rank.

    The mean rank of a place is taken over the other users, and fitted by least squares in one step (slope 1): the
    share is 1 - left / total, 1 for a row that goes by place alone, about 0 for one that does not, and below 0 where
    others' places mislead. NaN where ranks do not vary or are missing.
    """
    whole = ~np.isnan(ranks).any(axis=(1, 2))
    shares = np.full(len(ranks), np.nan)
    if whole.sum() < 2:
        return shares, np.full(ranks.shape[2], np.nan)
    by_user = ranks[whole].mean(axis=1)
    total = by_user.sum(axis=0)
    others = (total - by_user) / (whole.sum() - 1)
    middle = ranks[whole].mean(axis=(1, 2), keepdims=True)
    spread = ((ranks[whole] - middle) ** 2).sum(axis=(1, 2))
    left = ((ranks[whole] - middle - (others - others.mean(axis=1, keepdims=True))[:, None, :]) ** 2).sum(axis=(1, 2))
    shares[whole] = np.where(spread > 1e-12, 1 - left / np.maximum(spread, 1e-12), np.nan)
    return shares, total / whole.sum()


def gain_of_averaging(values: pd.DataFrame, bench: FidelityBench) -> list[str]:
    """A sentence an agent row: what averaging over orders is worth, with its interval."""
    from ...recsys.evaluation import paired

    notes = []
    for row, part in values[values["kind"].isin(["plain", "loop"])].groupby("row", sort=False):
        wide = part.pivot(index="user", columns="metric", values="value")
        gain = paired(wide[f"ndcg@10, {ALL}"], wide[f"ndcg@10, {ONE}"], np.random.default_rng([bench.study.seed, 4]))
        notes.append(
            f"{row}: averaging {bench.config.position.permutations} orders changes NDCG@10 by {gain.mean:+.4f} "
            f"[{gain.low:+.4f}, {gain.high:+.4f}] at {bench.config.position.permutations} times the calls"
        )
    return notes


def _by_item(case: Case, ranks: Doubles, like: Case) -> Doubles:
    """Ranks by place as ranks of the items of `like`, in its order."""
    rank = dict(zip(case.candidates, ranks.tolist(), strict=True))
    return np.array([rank[item] for item in like.candidates])
