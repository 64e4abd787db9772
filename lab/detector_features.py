"""All detectors that fit nothing or little, and what surrounds a row, as columns that a combination is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.denoising.coherence import REACH, neighbour_doubt, others_with, pairs_around, text_doubt
from recloop.recsys.denoising.owners import Bools, Doubts, holdings


def content_and_company(
    data: Dataset, texts: Sequence[str], evidence: Bools | None = None, reach: int = REACH
) -> dict[str, Doubts]:
    """Columns (n,) for `combine.fitted`: rarity, company, words, each with its mean over the row's context.

    Logarithms, because one other owner who holds both of two items says more than the hundredth. Counted over all rows
    of `data`, or those where `evidence` (n,) is true, without the row's own owner. texts: (n_items,).
    """
    others = others_with(data, holdings(data, evidence))
    rarity = np.log1p(others)
    columns = {
        "rarity": -rarity,
        "unknown": (others == 0).astype(np.float64),
        "company": -np.log(1 - neighbour_doubt(data, evidence, reach=reach) + 1e-3),
        "company, unshrunk": -np.log(1 - neighbour_doubt(data, evidence, 0.1, reach) + 1e-3),
        "words": -np.log(1 - text_doubt(data, texts, reach) + 1e-2),
    }
    # Rare items in a window of rare items have a lower anomaly score.
    for name in ("rarity", "company", "words"):
        values = columns[name]
        columns[f"{name} of the context"] = mean_of_others(data, values, reach)
    return columns


def mean_of_others(data: Dataset, values: Doubts, reach: int = REACH) -> Doubts:
    """(n,) mean of the values (n,) of the rows around each; 0 without any."""
    total, count = np.zeros(len(data)), np.zeros(len(data))
    for first, second in pairs_around(data, reach):
        total[first] += values[second]
        total[second] += values[first]
        count[first] += 1
        count[second] += 1
    return np.asarray(total / np.maximum(count, 1))
