"""The groups that studies name - head, tail, cold, warm, history - as masks over items and users."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from ..data.dataset import Dataset
from ..data.groups import ColdConfig, HeadConfig, cold, head

GROUPS = ("head", "tail", "cold", "warm", "history")
HISTORY_EDGES = (5, 10, 20, 50, 100)
"""Upper ends of the history buckets, in interactions; one bucket more holds the longer histories."""

Masked = dict[str, npt.NDArray[np.bool_]]


def group_masks(
    names: Iterable[str],
    train: Dataset,
    *,
    head_items: HeadConfig | None = None,
    cold_users: ColdConfig | None = None,
    edges: Sequence[int] = HISTORY_EDGES,
) -> tuple[Masked, Masked]:
    """(item_groups, user_groups) for `evaluate`, told from the train side alone.

    head, tail: of the held-out item. cold, warm: of the user. history: users by the length of their history, a mask a
    bucket (see `history_buckets`). Raises ConfigError with the nearest name for another group.
    """
    items: Masked = {}
    users: Masked = {}
    for name in names:
        if name == "head":
            items[name] = head(train, head_items)
        elif name == "tail":
            items[name] = ~head(train, head_items)
        elif name == "cold":
            users[name] = cold(train, cold_users)
        elif name == "warm":
            users[name] = ~cold(train, cold_users)
        elif name == "history":
            users |= history_buckets(train, edges)
        else:
            nearest = difflib.get_close_matches(name, GROUPS, n=1, cutoff=0.0)[0]
            raise ConfigError(f"group {name!r} does not exist; did you mean {nearest!r}? Known: {', '.join(GROUPS)}")
    return items, users


def history_buckets(train: Dataset, edges: Sequence[int] = HISTORY_EDGES) -> Masked:
    """`history 0-5`, `history 6-10` ... `history 101+`: masks (n_users,) that every user is in exactly one of.

    edges: upper ends, ascending, in interactions; a bucket without users is left out. Raises ConfigError otherwise.
    """
    if not edges or any(high <= low for low, high in itertools.pairwise(edges)) or edges[0] < 0:
        raise ConfigError(f"history edges must be ascending numbers of interactions, got {list(edges)}")
    lows = [0, *(edge + 1 for edge in edges)]
    names = [f"history {low}-{high}" for low, high in zip(lows, edges, strict=False)] + [f"history {lows[-1]}+"]
    bucket = np.searchsorted(np.asarray(edges), train.user_counts, side="left")
    return {name: bucket == place for place, name in enumerate(names) if (bucket == place).any()}
