"""Selection of the pairs to score: a base list per user, diverse items for cold users, users for tail items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...recsys.data import Dataset
from ...recsys.data.groups import cold
from ...recsys.models.itemknn import ItemKNN
from ..catalogue import has_text
from .config import Coverage

Longs = npt.NDArray[np.int64]
BLOCK = 512
"""Users whose neighbours are scored at once."""


def covered(data: Dataset, coverage: Coverage, seed: int) -> dict[int, list[int]]:
    """User code -> distinct item codes to score, without items of the user's history; users ascending.

    Items without text are not scored, and users without an item that has one are not covered.

    data: the train side. Random numbers are from rng [seed, stream, user or item], so that a user's list does not
    depend on the others.
    """
    popular = np.argsort(-data.item_counts, kind="stable")
    worded = has_text(data)
    popular = popular[(data.item_counts[popular] > 0) & worded[popular]]
    users = _users(data, coverage, seed)
    lists = _base(data, coverage, users, popular, seed, worded)
    if coverage.diverse:
        groups = _kinds(data, popular)
        for user in np.flatnonzero(cold(data, coverage.cold) & (data.user_counts > 0)).tolist():
            rng = np.random.default_rng([seed, 2, user])
            taken = {*data.history(user).tolist(), *lists.get(user, [])}
            lists.setdefault(user, []).extend(_diverse(groups, taken, coverage.diverse, rng))
    if coverage.tail_users:
        known = np.flatnonzero(data.user_counts > 0)
        for item in popular[::-1][: round(coverage.tail * len(popular))].tolist():
            rng = np.random.default_rng([seed, 3, item])
            for user in rng.permutation(known)[: coverage.tail_users].tolist():
                if item not in data.history(user) and item not in lists.get(user, []):
                    lists.setdefault(user, []).append(item)
    known_by = np.bincount(data.user[worded[data.item]], minlength=data.n_users)
    return {user: lists[user] for user in sorted(lists) if len(lists[user]) > 1 and known_by[user]}


def _users(data: Dataset, coverage: Coverage, seed: int) -> list[int]:
    able = np.flatnonzero(data.user_counts > 0)
    if coverage.users is not None and coverage.users < len(able):
        able = np.sort(np.random.default_rng([seed, 0]).choice(able, coverage.users, replace=False))
    return [int(user) for user in able]


def _base(
    data: Dataset,
    coverage: Coverage,
    users: Sequence[int],
    popular: Longs,
    seed: int,
    worded: npt.NDArray[np.bool_],
) -> dict[int, list[int]]:
    nearest = _retrieved(data, users, coverage.candidates) if coverage.source != "popularity" else {}
    pool = popular[: coverage.pool]
    lists = {}
    for user in users:
        rng = np.random.default_rng([seed, 1, user])
        popular_items = rng.permutation(pool[~np.isin(pool, data.history(user))]).tolist()
        wanted = {"popularity": 0, "retriever": coverage.candidates, "mixed": coverage.candidates // 2}[coverage.source]
        # A user whose history has few neighbours gets the rest from the pool.
        near = [item for item in nearest.get(user, []) if worded[item]]
        candidates = list(dict.fromkeys([*near[:wanted], *popular_items]))
        lists[user] = candidates[: coverage.candidates]
    return lists


def _retrieved(data: Dataset, users: Sequence[int], count: int) -> dict[int, list[int]]:
    """The `count` unseen items nearest to each user's history by co-occurrence; fewer if fewer have a score."""
    if not len(users):
        return {}
    knn = ItemKNN()
    knn.fit(data)
    retrieved = {}
    for start in range(0, len(users), BLOCK):
        block = np.asarray(users[start : start + BLOCK], np.int32)
        for user, scores in zip(block.tolist(), knn.score(block, data), strict=True):
            scores = np.asarray(scores, np.float64)
            scores[data.history(user)] = -np.inf
            best = np.argsort(-scores, kind="stable")[:count]
            retrieved[user] = best[scores[best] > 0].tolist()
    return retrieved


def _kinds(data: Dataset, items: Longs) -> list[list[int]]:
    """The items grouped by first category; items without category are one group."""
    first = data.items["categories"].str.split(",").str[0].str.strip()
    groups: dict[str, list[int]] = {}
    for item in items.tolist():
        groups.setdefault(str(first.iat[item]), []).append(item)
    return list(groups.values())


def _diverse(groups: Sequence[Sequence[int]], taken: set[int], count: int, rng: np.random.Generator) -> list[int]:
    """`count` items by taking one per category in turn, categories and items in random order."""
    remaining = [[int(i) for i in rng.permutation([i for i in group if i not in taken])] for group in groups]
    remaining = [remaining[place] for place in rng.permutation(len(remaining)) if remaining[place]]
    chosen: list[int] = []
    while len(chosen) < count and remaining:
        chosen += [group.pop() for group in remaining][: count - len(chosen)]
        remaining = [group for group in remaining if group]
    return chosen
