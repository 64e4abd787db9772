"""`describe`: what one wants to know of a dataset before training on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from .dataset import PROVENANCE_COLUMNS, Dataset
from .groups import head


def describe(data: Dataset) -> dict[str, Any]:
    """Sizes, density, time, ratings, texts, skew, provenance and fingerprint, as plain values fit for JSON.

    `density` in (0, 1]: pairs seen / pairs possible. `left_out`: rows of the source that reading and filters left out,
    by reason. `order`: what decides which of two rows of a user is the later. `tie_share` in [0, 1]: interactions that
    share their timestamp with another one of the same user, whose order is that of the source. `values`: how often each
    rating occurs, or each of ten ranges of equal width where there are more than 20 different ones. `time_span` is None
    where timestamps are positions (the data knows order only). `head_share` in (0, 1]: interactions that fall on the
    most popular 20 % of items. `gini` in [0, 1) of item popularity: 0 when all are equally popular.
    """
    lengths = data.user_counts
    return {
        "name": data.name,
        "users": data.n_users,
        "items": data.n_items,
        "interactions": len(data),
        "density": len(_pairs(data)) / max(data.n_users * data.n_items, 1),
        "repeated_pairs": len(data) - len(_pairs(data)),
        "left_out": dict(data.left_out),
        "history_length": {
            "min": int(lengths.min()) if len(lengths) else 0,
            "median": float(np.median(lengths)) if len(lengths) else float("nan"),
            "max": int(lengths.max(initial=0)),
        },
        "time_span": _time_span(data),
        "order": "timestamp, then the order of the rows" if _time_span(data) else "the order of the rows: no time",
        "tie_share": tie_share(data),
        "values": _distribution(data.value),
        "text_coverage": {
            column: float((data.items[column].astype(str).str.strip() != "").mean())
            for column in data.items.columns
            if column != "item_id" and data.items[column].dtype.kind not in "iufb"
        },
        "user_columns": [c for c in data.users.columns if c != "user_id"],
        "head_share": float(data.item_counts[head(data)].sum() / max(len(data), 1)),
        "gini": gini(data.item_counts),
        "origins": _origins(data),
        "pairs": len(data.pairs),
        "fingerprint": data.fingerprint,
    }


def tie_share(data: Dataset) -> float:
    """Share of interactions, in [0, 1], that have the timestamp of another interaction of the same user."""
    if not len(data):
        return float("nan")
    same = (data.user[1:] == data.user[:-1]) & (data.timestamp[1:] == data.timestamp[:-1])
    tied = np.zeros(len(data), bool)
    tied[1:] |= same
    tied[:-1] |= same
    return float(tied.mean())


def gini(counts: npt.NDArray[np.int64]) -> float:
    """Gini coefficient of counts >= 0: 0 for all equal, (n - 1) / n for all on one; NaN when they sum to 0."""
    total = counts.sum()
    if not total:
        return float("nan")
    ordered, n = np.sort(counts).astype(np.float64), len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def _pairs(data: Dataset) -> npt.NDArray[np.int64]:
    return np.unique(data.user.astype(np.int64) * data.n_items + data.item)


def _time_span(data: Dataset) -> dict[str, Any] | None:
    """None below 1e8 (March 1973): no log is that old, a position is that small."""
    if not len(data) or data.timestamp.max() < 1e8:
        return None
    first, last = int(data.timestamp.min()), int(data.timestamp.max())
    return {
        "first": _iso(first),
        "last": _iso(last),
        "days": round((last - first) / 86400, 2),
    }


def _iso(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).isoformat()
    except (OverflowError, OSError, ValueError):  # a Dataset made in Python may hold any number
        return f"{second} s"


def _distribution(values: npt.NDArray[np.float32], most: int = 20) -> dict[str, int]:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= most:
        return {f"{value:g}": int(n) for value, n in zip(distinct, counts, strict=True)}
    counts, edges = np.histogram(values, bins=10)
    return {f"{low:g}..{high:g}": int(n) for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)}


def _origins(data: Dataset) -> dict[str, int]:
    column = PROVENANCE_COLUMNS[0]
    if column not in data.interactions:
        return {"raw": len(data)}
    counts = data.interactions[column].astype(object).fillna("raw").value_counts()
    return {str(origin): int(n) for origin, n in counts.items()}
