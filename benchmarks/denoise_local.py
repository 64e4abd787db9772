"""The doubts of a local language model tuned on train_5000, from its files, and with the collaborative vote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from denoise_detect import LOG, Toys
from recloop.errors import DataError
from recloop.recsys.denoising.combine import rank_sum
from recloop.recsys.denoising.owners import Doubts
from recloop.recsys.evaluation.clicks import auc

SIDES = ("valid", "test")
VIEWS = ("find_first", "find_whole", "find_total", "judge")
VOTES = (f"ItemKNN coherence, {LOG}", "combination, self-planted noise")
"""What the model is combined with: the agent's vote, and the best detector that no truth was shown to."""


def local_doubts(toys: Toys, folder: Path) -> dict[str, Doubts]:
    """View -> (n,) doubts of `scores-valid.parquet` and `scores-test.parquet`; NaN for windows that were not scored.

    DataError for a row that is none of the data's.
    """
    codes = {ident: code for code, ident in enumerate(toys.data.users["user_id"])}
    table = pd.concat([pd.read_parquet(folder / f"scores-{side}.parquet") for side in SIDES])
    users = table["user_id"].map(codes)
    if users.isna().any():
        raise DataError(f"{folder}: user {table['user_id'][users.isna()].iloc[0]!r} is none of {toys.data.name!r}")
    rows = toys.data.indptr[users.to_numpy(np.int64)] + table["place"].to_numpy(np.int64)
    wrong = toys.data.items["item_id"].to_numpy()[toys.data.item[rows]] != table["item_id"].to_numpy()
    if wrong.any():
        raise DataError(f"{folder}: {int(wrong.sum())} rows name another item than {toys.data.name!r} has there")
    found = {}
    for view in VIEWS:
        found[view] = np.full(len(toys.data), np.nan)
        found[view][rows] = table[view].to_numpy(np.float64)
    return found


def local_rows(toys: Toys, views: Mapping[str, Doubts], others: Mapping[str, Doubts]) -> dict[str, Doubts]:
    """Rows of the table: the view that is best on the validation windows, alone and by rank sum with the votes.

    NaN in rows that were not scored: of the validation windows some are enough; DataError where test windows lack. A
    rank is one among all scored rows.
    """
    asked = ~np.isnan(next(iter(views.values())))
    if not asked[toys.test].all():
        raise DataError("the local model's scores lack test windows; score all of them")
    truth, valid = toys.truth.planted, toys.valid & asked
    figures = {view: auc(truth[valid], doubt[valid]) for view, doubt in views.items()}
    best = max(figures, key=lambda view: figures[view])
    name = f"local model tuned on train_5000 ({best}, AUC {figures[best]:.3f} on validation)"
    found = {name: np.where(asked, views[best], np.nan)}
    for vote in VOTES:
        found[f"local model + {vote} (rank sum)"] = np.full(len(truth), np.nan)
        found[f"local model + {vote} (rank sum)"][asked] = rank_sum(
            {"model": views[best][asked], "vote": others[vote][asked]}
        )
    return found
