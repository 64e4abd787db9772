"""Balance of an edit and its controls: popularity, place in the history and user activity of what was edited."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ..data.dataset import Dataset, Longs
from .edits import new_pairs, row_edits, vectors_changed
from .strata import places

COLUMNS = ("variant", "edit", "n", "popularity", "rank", "place", "activity", "shared")


def balance(raw: Dataset, variants: Mapping[str, Dataset], refined: Dataset) -> pd.DataFrame:
    """Means over the edited rows of each variant, one row a variant and kind of edit.

    Columns: `edit` (removed, added, reweighted, pairs (their less liked item), item vectors, user vectors); `n`;
    `popularity`, interactions of the item in raw; `rank`, of the item by popularity, 1 the most popular, ties averaged;
    `place` from the end of the user's history, 1 the newest row; `activity`, length of the user's history; `shared`,
    share of the edits that `refined` makes as well. NaN where a kind has no item, no place or, for vectors, no
    counterpart.
    """
    own = {kind: set(frame.itertuples(index=False, name=None)) for kind, frame in _edits(raw, refined).items()}
    rank = rankdata(-raw.item_counts)
    rows = []
    for name, data in variants.items():
        for kind, frame in _edits(raw, data).items():
            if frame.empty:
                continue
            user, item, place = (frame[column].to_numpy(np.int64) for column in ("user", "item", "place"))
            # Vectors of all items or users change place: which of them are edited says nothing.
            same = [edit in own.get(kind, set()) for edit in frame.itertuples(index=False, name=None)]
            shared = np.nan if kind.endswith("vectors") else np.mean(same)
            rows.append(
                {
                    "variant": name,
                    "edit": kind,
                    "n": len(frame),
                    "popularity": _mean(raw.item_counts[item[item >= 0]]),
                    "rank": _mean(rank[item[item >= 0]]),
                    "place": _mean(place[place >= 0] + 1),
                    "activity": _mean(raw.user_counts[user[user >= 0]]),
                    "shared": float(shared),
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _edits(raw: Dataset, data: Dataset) -> dict[str, pd.DataFrame]:
    """Kind -> one row an edit: user, item, place from the end (0 newest); -1 where a kind has none."""
    rows = row_edits(raw, data)
    place = places(raw)
    gone, weighed = rows.removed | (rows.replaced >= 0), ~np.isnan(rows.weight)
    new = np.concatenate([rows.added, rows.replaced[rows.replaced >= 0]])
    pairs = new_pairs(raw, data)
    items = np.flatnonzero(vectors_changed(raw.n_items, raw.item_vectors, data.item_vectors))
    users = np.flatnonzero(vectors_changed(raw.n_users, raw.user_vectors, data.user_vectors))
    user, item, when = data.user[new].astype(np.int64), data.item[new].astype(np.int64), data.timestamp[new]
    kinds = {
        "removed": (raw.user[gone], raw.item[gone], place[gone]),
        "added": (user, item, _later_rows(raw, user, when)),
        "reweighted": (raw.user[weighed], raw.item[weighed], place[weighed]),
        "pairs": (pairs["user"].to_numpy(), pairs["other"].to_numpy(), np.full(len(pairs), -1)),
        "item vectors": (np.full(len(items), -1), items, np.full(len(items), -1)),
        "user vectors": (users, np.full(len(users), -1), np.full(len(users), -1)),
    }
    return {
        kind: pd.DataFrame(dict(zip(("user", "item", "place"), columns, strict=True)))
        for kind, columns in kinds.items()
    }


def _later_rows(raw: Dataset, user: Longs, when: Longs) -> Longs:
    """(n,) how many rows of the user in raw are later than `when`."""
    return np.array(
        [
            raw.indptr[u + 1]
            - raw.indptr[u]
            - np.searchsorted(raw.timestamp[raw.indptr[u] : raw.indptr[u + 1]], t, "right")
            for u, t in zip(user.tolist(), when.tolist(), strict=True)
        ],
        np.int64,
    )


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
