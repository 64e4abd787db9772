"""Exact top-k items of users, in blocks whose scores fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ..data.dataset import Dataset, Ints, Longs
from ..evaluation.heldout import pairs, user_codes
from ..evaluation.ranking import BLOCK_SCORES, Scorer, Scores, place, scored

Number = TypeVar("Number", bound=np.generic)
Lists = tuple[Ints, Longs, Scores]


def lists(
    model: Scorer,
    history: Dataset,
    users: npt.ArrayLike | None = None,
    k: int = 10,
    *,
    filter_seen: bool = True,
    block: int | None = None,
) -> Iterator[Lists]:
    """Blocks of (users (b,), items (b, k), scores (b, k)), best first; ties by lower item code.

    users: codes; None for all. history: the interactions that the model scores from. filter_seen: leave out items of
    the history. A list of fewer than k items, because the rest are seen or scored -inf, is padded by item -1 and score
    NaN. block: users scored together; None: as many as fit in memory. Raises ConfigError for k < 1, DataError for
    invalid user codes and for a model that scores NaN.
    """
    if k < 1:
        raise ConfigError(f"k={k}; ask for at least one item")
    codes = user_codes(users, history.n_users)
    depth = min(k, history.n_items)
    size = block or max(1, BLOCK_SCORES // history.n_items)
    nothing = np.empty(0, np.int64)
    for first in range(0, len(codes), size):
        here = codes[first : first + size]
        scores = scored(model, here, history, history.n_items)
        if filter_seen:
            row, item = pairs(history, here)
            scores[row, item] = -np.inf
        best = place(scores, nothing, nothing, depth, model.name)[2]
        own = np.take_along_axis(scores, np.maximum(best, 0), axis=1)
        yield here, _filled(best, k, -1), _filled(np.where(best >= 0, own, np.nan), k, np.nan)


def _filled(table: npt.NDArray[Number], k: int, nothing: float) -> npt.NDArray[Number]:
    """(n, k) `table`, padded on the right by `nothing`."""
    return np.pad(table, ((0, 0), (0, k - table.shape[1])), constant_values=nothing)
