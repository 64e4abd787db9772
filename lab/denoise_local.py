"""The doubts of a local language model tuned on train_5000, from its files, and with the collaborative vote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from denoise_detect import LOG, Toys
from detector_combination import rank_sum
from recloop.errors import DataError
from recloop.recsys.denoising.owners import Doubts
from recloop.recsys.evaluation.clicks import auc

SIDES = ("valid", "test")
VIEWS = ("find_first", "find_whole", "find_total", "judge", "next")
VOTES = (f"ItemKNN coherence, {LOG}", "combination, self-planted noise")
"""What the model is combined with: the agent's vote, and the best detector that no truth was shown to."""


def local_doubts(toys: Toys, folder: Path) -> dict[str, Doubts]:
    """View -> (n,) doubts of `scores-valid.parquet` and `scores-test.parquet`; NaN where a window was not scored so.

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
    columns = {}
    for view in (view for view in VIEWS if view in table):
        columns[view] = np.full(len(toys.data), np.nan)
        columns[view][rows] = table[view].to_numpy(np.float64)
    return columns


def chosen_view(toys: Toys, views: Mapping[str, Doubts]) -> tuple[str, float]:
    """The view of the best AUC on the validation windows that were scored, and that AUC."""
    truth, figures = toys.truth.planted, {}
    for view, doubt in views.items():
        valid = toys.valid & ~np.isnan(doubt)
        figures[view] = auc(truth[valid], doubt[valid])
    best = max(figures, key=lambda view: figures[view])
    return best, figures[best]


def local_rows(toys: Toys, views: Mapping[str, Doubts], others: Mapping[str, Doubts]) -> dict[str, Doubts]:
    """Rows of the table: the view that is best on the validation windows, alone and by rank sum with the votes.

    NaN in rows that were not scored; where test windows are among them, each vote alone comes along on the windows that
    were. A rank is one among all scored rows. DataError where no test window was scored by that view.
    """
    truth = toys.truth.planted
    best, figure = chosen_view(toys, views)
    scored_rows = ~np.isnan(views[best])
    windows = len(np.unique(toys.data.user[toys.test & scored_rows]))
    if not windows:
        raise DataError(f"the local model's scores hold no test window of {best}; score some")
    whole = bool(scored_rows[toys.test].all())
    same = "" if whole else f", {windows} test windows"
    name = f"local model tuned on train_5000 ({best}, AUC {figure:.3f} on validation){same}"
    columns = {name: views[best]}
    for vote in VOTES:
        if not whole:
            columns[f"{vote}{same}"] = np.where(scored_rows, others[vote], np.nan)
        mixed = np.full(len(truth), np.nan)
        mixed[scored_rows] = rank_sum({"model": views[best][scored_rows], "vote": others[vote][scored_rows]})
        columns[f"local model + {vote} (rank sum){same}"] = mixed
    return columns
