"""Groups: which items are the head and which users are cold, as masks over items and users.

Both are told from the *train* side alone: what is popular only in the test is not known when recommending. The tail is
`~head(...)`, the warm users are `~cold(...)`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator

from .dataset import Dataset

Mask = npt.NDArray[np.bool_]


class HeadConfig(BaseModel):
    """What makes an item a head item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["quantile", "share", "count"] = "quantile"
    """quantile: the most popular `value` of all items. share: the most popular items that together hold at least
    `value` of the interactions. count: the items with `value` interactions or more."""
    value: PositiveFloat = 0.2
    """In (0, 1] for quantile and share, a number of interactions for count. Default: the top 20 % of items, the
    usual line between short head and long tail."""

    @model_validator(mode="after")
    def _in_range(self) -> HeadConfig:
        if self.by != "count" and self.value > 1:
            raise ValueError(f"value {self.value:g} is a share of 1 when by is {self.by!r}; give .2 for 20 %")
        return self


class ColdConfig(BaseModel):
    """What makes a user a cold user."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["quantile", "count"] = "quantile"
    """quantile: the `value` of all users with the shortest histories. count: users with `value` rows or fewer."""
    value: PositiveFloat = 0.2
    """In (0, 1] for quantile, a number of interactions for count. Default: the 20 % shortest histories; an absolute
    line (3 in much of the literature) leaves nobody on data that is 5-core already."""

    @model_validator(mode="after")
    def _in_range(self) -> ColdConfig:
        if self.by == "quantile" and self.value > 1:
            raise ValueError(f"value {self.value:g} is a share of 1 when by is 'quantile'; give .2 for 20 %")
        return self


def head(train: Dataset, config: HeadConfig | None = None) -> Mask:
    """(n_items,) true for head items; all others, those without any interaction in train included, are the tail.

    Among items of equal popularity at the border the lower code (seen earlier in the data) comes first, so that the
    head has the size asked for: ceil(value * n_items) for quantile.
    """
    return head_of(train.item_counts, config)


def head_of(counts: npt.NDArray[np.int64], config: HeadConfig | None = None) -> Mask:
    """`head` from the interactions of each item alone, (n_items,), as they are known of a log read in parts."""
    config = config or HeadConfig()
    if config.by == "count":
        return counts >= config.value
    order = np.argsort(-counts, kind="stable")
    if config.by == "share":
        reached = np.cumsum(counts[order])
        size = int(np.searchsorted(reached, config.value * counts.sum() - 1e-9)) + 1
    else:
        size = _size(config.value, len(counts))
    return _first(order, size)


def cold(train: Dataset, config: ColdConfig | None = None) -> Mask:
    """(n_users,) true for cold users; those without any interaction in train are among the coldest.

    Among users of equal history length at the border the lower code comes first: ceil(value * n_users) for quantile.
    """
    config = config or ColdConfig()
    counts = train.user_counts
    if config.by == "count":
        return counts <= config.value
    return _first(np.argsort(counts, kind="stable"), _size(config.value, len(counts)))


def _size(share: float, count: int) -> int:
    return math.ceil(share * count - 1e-9)


def _first(order: npt.NDArray[np.int64], size: int) -> Mask:
    mask = np.zeros(len(order), bool)
    mask[order[:size]] = True
    return mask
