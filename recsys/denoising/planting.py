"""Plants noise: some of an owner's items are replaced by random ones, consistently in all windows of the owner."""

from __future__ import annotations

import numpy as np

from ...errors import DataError
from ..data.dataset import Dataset
from ..data.windows import Truth
from .owners import Bools, owners


def planted(data: Dataset, rate: float, seed: int, keep: Bools | None = None) -> tuple[Dataset, Truth]:
    """The data with each item of an owner replaced with probability `rate`, and the mask of replaced rows.

    The replacement is uniform over the items that the owner does not have; an item stays if there is none left. All
    windows of the owner get the same replacement, as in a log that is noisy at its source. keep: (n,) mask of rows that
    are not replaced, such as evaluation targets (all of the owner's rows of that item stay). Equal seeds give equal
    noise. DataError for a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise DataError(f"rate={rate:g}; give a share from 0 up, below 1")
    n = data.n_items
    owner = owners(data)[data.user]
    held, at = np.unique(owner * n + data.item, return_inverse=True)
    held_set = set(held.tolist())
    free = n - np.bincount(held // n)
    rng = np.random.default_rng([seed, round(rate * 10_000)])
    chosen = rng.random(len(held)) < rate
    if keep is not None:
        chosen[np.unique(at[keep])] = False
    new = held % n
    for place in np.flatnonzero(chosen).tolist():
        whose = int(held[place]) // n * n
        if not free[whose // n]:
            chosen[place] = False
            continue
        free[whose // n] -= 1
        while (item := int(rng.integers(n))) + whose in held_set:
            pass
        # Replacements of one owner are distinct from each other and from the owner's items.
        held_set.add(item + whose)
        new[place] = item
    frame = data.interactions.assign(item=new[at].astype(np.int32))
    return data.with_(interactions=frame), Truth(chosen[at])
