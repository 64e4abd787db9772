"""RealPair: which share of added pairs turn out true, that is, stand in the user's held-out future.

Liu et al. (LLM-Ins) report it for pairs of cold items and the users simulated for them. Held-out sides are looked at
after everything is made: nothing of this reaches an agent or a model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...recsys.data import Dataset, Split, together
from ...recsys.evaluation.intervals import resampled_means


def real_pairs(
    split: Split,
    variants: Mapping[str, list[Dataset]],
    against: str,
    rng: np.random.Generator,
    draws: int = 2000,
) -> pd.DataFrame:
    """One row a variant: rows added to train (mean over its draws), how many are true, their share, its 95 % interval,
    and the difference to the share of `against` with a paired interval; users are drawn again.

    variants: name -> its train sides, several where it is drawn by seed. A user's valid and test rows are their future.
    """
    future = together(split.valid, split.test)
    n = split.train.n_items
    truth = np.unique(future.user.astype(np.int64) * n + future.item)
    known = np.unique(split.train.user.astype(np.int64) * n + split.train.item)
    columns = {name: _by_user(split.train.n_users, n, known, truth, sides) for name, sides in variants.items()}
    table = np.concatenate([np.stack(pair, 1) for pair in columns.values()], 1)
    means = resampled_means(table[:, :, None], rng, draws)
    shares = {name: _share(means[:, 2 * at], means[:, 2 * at + 1]) for at, name in enumerate(columns)}
    table_rows = []
    for name, (hits, rows) in columns.items():
        own = float(_share(hits.sum(), rows.sum()))
        row: dict[str, object] = {"variant": name, "rows": rows.sum(), "true": hits.sum(), "realpair": own}
        row["low"], row["high"] = _interval(shares[name])
        if name != against and against in columns:
            base = columns[against]
            row["difference"] = own - float(_share(base[0].sum(), base[1].sum()))
            row["difference_low"], row["difference_high"] = _interval(shares[name] - shares[against])
        table_rows.append(row)
    return pd.DataFrame(table_rows)


def _by_user(
    n_users: int, n_items: int, known: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], sides: list[Dataset]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n_users,) true pairs and pairs added, means over the sides."""
    hits, rows = np.zeros(n_users), np.zeros(n_users)
    for side in sides:
        new = np.setdiff1d(side.user.astype(np.int64) * n_items + side.item, known)
        rows += np.bincount(new // n_items, minlength=n_users) / len(sides)
        hits += np.bincount(new[np.isin(new, truth)] // n_items, minlength=n_users) / len(sides)
    return hits, rows


def _share(hits: npt.ArrayLike, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.asarray(hits, np.float64) / np.asarray(rows, np.float64))


def _interval(samples: npt.NDArray[np.float64]) -> tuple[float, float]:
    known = samples[~np.isnan(samples)]
    return (float(np.percentile(known, 2.5)), float(np.percentile(known, 97.5))) if len(known) else (np.nan, np.nan)
