"""How reliable an LLM's order is, and for whom: its agreement with what was taken later, by decile."""

from __future__ import annotations

import numpy as np
import pandas as pd
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.evaluation.intervals import interval
from recloop.recsys.guidance.scores import PairScores
from recloop.recsys.guidance.truth import TruthPairs

COLUMNS = ("by", "decile", "lowest", "highest", "users", "pairs", "agreement", "low", "high")
DECILES = 10


def reliability(
    pairs: TruthPairs, scores: PairScores, train: Dataset, *, seed: int = 0, draws: int = 1000
) -> pd.DataFrame:
    """One row a decile of history length (of users) and of popularity (of the taken items), and one of all; `COLUMNS`.

    agreement: share of pairs that the LLM ordered rightly, a tie half, averaged over users; 95 % interval over users.
    lowest, highest: the decile's ends in train interactions. Equal counts stay in one decile, so there may be fewer.
    """
    rows = [_row("all", 0, np.arange(len(pairs)), pairs, np.zeros(len(pairs)), seed, draws)]
    for by, count in (
        ("history length", train.user_counts[pairs.user]),
        ("popularity", train.item_counts[scores.item[pairs.taken]]),
    ):
        unit_of_pair = pairs.user if by == "history length" else pairs.taken
        units = np.unique(unit_of_pair, return_index=True)[1]
        shares = np.arange(1, DECILES) / DECILES
        cuts = np.unique(np.quantile(count[units], shares, method="inverted_cdf")) if len(units) else np.empty(0)
        decile = np.searchsorted(cuts, count, side="left")
        rows += [
            _row(by, int(d) + 1, np.flatnonzero(decile == d), pairs, count, seed, draws) for d in np.unique(decile)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_user(pairs: TruthPairs, rows: np.ndarray | None = None) -> np.ndarray:
    """(users,) mean agreement of each user's pairs, users ascending; rows: only these pairs."""
    chosen = np.arange(len(pairs)) if rows is None else rows
    user = np.unique(pairs.user[chosen], return_inverse=True)[1]
    return np.bincount(user, pairs.right[chosen]) / np.bincount(user) if len(chosen) else np.empty(0)


def _row(
    by: str, decile: int, rows: np.ndarray, pairs: TruthPairs, count: np.ndarray, seed: int, draws: int
) -> dict[str, object]:
    values = by_user(pairs, rows)
    agreement = interval(values, np.random.default_rng([seed, decile]), draws)
    ends = (float(count[rows].min()), float(count[rows].max())) if len(rows) and by != "all" else (np.nan, np.nan)
    values_of_row = (by, decile, *ends, len(values), len(rows), agreement.mean, agreement.low, agreement.high)
    return dict(zip(COLUMNS, values_of_row, strict=True))
