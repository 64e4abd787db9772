"""`Outcome`: what a protocol measured, a value a user, and the table of means with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ...recsys.data import Dataset
from ...recsys.evaluation import interval, paired
from .rows import LOOP, ONCE, Answers

VALUES = ("variant", "row", "kind", "user", "user_id", "metric", "value")
TABLE = (
    *("variant", "row", "kind", "metric", "n", "mean", "low", "high"),
    *("against", "difference", "difference_low", "difference_high", "p"),
)
LOWER_IS_BETTER = frozenset({"rmse", "mae", "tv", "js", "leaks", "position share"})
NEAREST_TO_ZERO = frozenset({"bias"})
LEAD = {
    "agentcf": "ndcg@10",
    "llmrank": "ndcg@10",
    "taste": "auc",
    "ratings": "rmse",
    "position": "position share",
    "setwise_value": "ndcg@10",
    "contamination": "auc",
    "canaries": "leaks",
}
"""The metric that a protocol is judged by; the loop is held against one question by it alone."""


@dataclass(frozen=True)
class Outcome:
    """One protocol's result.

    values: one row a variant, row, user and metric (`VALUES`), NaN where a row gave no usable answer.
    costs: one entry a variant and agent row: calls and tokens a list, `missing` answers.
    notes: sentences for the reader: how lists were made, what was left out and why.
    skipped: why nothing could be measured; empty otherwise.
    detail: what the plot draws besides, as plain values.
    """

    protocol: str
    values: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VALUES)))
    costs: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    skipped: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def table(self, seed: int = 0, draws: int = 2000) -> pd.DataFrame:
        """One row a variant, row and metric (`TABLE`): the mean over users with its bootstrap interval, and the paired
        difference to the best row without a language model of the same variant (empty for that row itself).

        The best is chosen by the mean over the same users, which favours it a little and never the agent.
        """
        rows: list[dict[str, Any]] = []
        for (variant, metric), part in self.values.groupby(["variant", "metric"], sort=False):
            wide = part.pivot(index="user", columns="row", values="value")
            kinds = dict(zip(part["row"], part["kind"], strict=True))
            best = _best(wide, kinds, str(metric))
            for row in dict.fromkeys(part["row"]):
                values = wide[row].to_numpy(np.float64)
                estimate = interval(values, np.random.default_rng([seed, 1]), draws)
                entry = {"variant": variant, "row": row, "kind": kinds[row], "metric": metric, "n": estimate.n}
                entry |= {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "against": ""}
                if best is not None and row != best:
                    over = paired(values, wide[best].to_numpy(np.float64), np.random.default_rng([seed, 2]), draws)
                    entry |= {"against": best, "difference": over.mean, "p": over.p}
                    entry |= {"difference_low": over.low, "difference_high": over.high}
                rows.append(entry)
        return pd.DataFrame(rows, columns=list(TABLE))

    def verdicts(self, seed: int = 0, draws: int = 2000) -> list[dict[str, Any]]:
        """Whether the loop beats the same model asked once: the paired difference a variant in the lead metric (of
        position bias, in the NDCG@10 of one order), and a word.

        `worth it` where the whole interval is on the better side, `not worth its calls` otherwise.
        """
        verdicts = []
        lead = "ndcg@10, one order" if self.protocol == "position" else LEAD[self.protocol]
        for (variant, metric), part in self.values[self.values["metric"].eq(lead)].groupby(
            ["variant", "metric"], sort=False
        ):
            wide = part.pivot(index="user", columns="row", values="value")
            if LOOP not in wide or ONCE not in wide:
                continue
            over = paired(
                wide[LOOP].to_numpy(np.float64),
                wide[ONCE].to_numpy(np.float64),
                np.random.default_rng([seed, 3]),
                draws,
            )
            if not over.n:
                continue
            better = over.high < 0 if metric in LOWER_IS_BETTER else over.low > 0
            verdicts.append(
                {
                    "variant": variant,
                    "metric": metric,
                    "n": over.n,
                    "difference": over.mean,
                    "low": over.low,
                    "high": over.high,
                    "verdict": "worth it" if better else "not worth its calls",
                }
            )
        return verdicts


def tidy(
    data: Dataset, variant: str, row: str, kind: str, users: Sequence[int], metrics: Mapping[str, Sequence[float]]
) -> pd.DataFrame:
    """Values of one row in the form of `VALUES`; each metric has one value a user, in the order of `users`."""
    codes = np.asarray(users, np.int64)
    ids = data.users["user_id"].astype(str).to_numpy()[codes]
    parts = [
        pd.DataFrame(
            {
                "variant": variant,
                "row": row,
                "kind": kind,
                "user": codes,
                "user_id": ids,
                "metric": metric,
                "value": np.asarray(values, np.float64),
            }
        )
        for metric, values in metrics.items()
    ]
    return pd.concat(parts, ignore_index=True)


def cost(variant: str, answers: Answers, walk: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """What an agent's answers cost; of the loop also the walk that made its profile, a user, once for all protocols."""
    entry = {"variant": variant, "row": answers.row, "calls": answers.calls, "tokens": answers.tokens}
    return entry | {"walk_calls": walk[0], "walk_tokens": walk[1], "missing": answers.missing}


def _best(wide: pd.DataFrame, kinds: Mapping[str, str], metric: str) -> str | None:
    """The reference with the best mean; None where no reference has a value."""
    means = wide[[row for row in wide if kinds[str(row)] == "reference"]].mean().dropna()
    if means.empty:
        return None
    if metric in NEAREST_TO_ZERO:
        return str(means.abs().idxmin())
    return str(means.idxmin() if metric in LOWER_IS_BETTER else means.idxmax())
