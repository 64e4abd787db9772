"""What stands between a doubt and an edit: the vote, the cold item, the new interest, the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from .config import Guards

Guard = Literal["", "cold", "new_interest", "budget"]
Floats = npt.NDArray[np.float64]
NEITHER = 0.5
"""A vote that is neither for nor against."""


def score_of(doubt: float, vote: float | None, weight: float) -> float:
    """Doubt and vote as one, in [0, 1]; where nobody can vote the doubt stands alone."""
    return doubt if vote is None else (1 - weight) * doubt + weight * vote


def is_new_interest(place: int, near: Floats, recent: int) -> bool:
    """Whether the item at `place` is nearer to another of the `recent` newest than to anything before them.

    near: (n, n) likeness of the sequence's items, 0 for nothing in common. An item that is like nothing begins nothing.
    """
    first = len(near) - recent
    if recent < 2 or place < first or first < 1:
        return False
    others = [near[place, other] for other in range(first, len(near)) if other != place]
    return max(others) > max(float(near[place, :first].max()), 0.0)


def within_budget(scores: Sequence[float], places: Sequence[int], length: int, budget: float) -> list[int]:
    """Of the doubted `places` those that may be edited, the highest scores first, of equals the oldest."""
    most = max(1, int(budget * length + 1e-9)) if budget > 0 else 0
    return sorted(sorted(places, key=lambda place: (-scores[place], place))[:most])


def guarded(
    doubts: Sequence[float | None],
    votes: Sequence[float | None],
    near: Floats,
    guards: Guards,
    weight: float,
    threshold: float,
) -> tuple[list[float | None], list[int], dict[int, Guard]]:
    """Scores of a sequence, the places that are taken for noise, and of those that were spared the guard.

    doubts: (n,) of the model, None where it was not asked. votes: (n,) None for a cold item.
    """
    scores = [None if d is None else score_of(d, v, weight) for d, v in zip(doubts, votes, strict=True)]
    spared: dict[int, Guard] = {}
    doubted: list[int] = []
    for place, (doubt, vote, score) in enumerate(zip(doubts, votes, scores, strict=True)):
        if doubt is None or score is None or score < threshold:
            continue
        if vote is None and doubt < guards.cold_doubt:
            spared[place] = "cold"
        elif is_new_interest(place, near, guards.recent):
            spared[place] = "new_interest"
        else:
            doubted.append(place)
    # An absent vote counts half here. A doubt that stands alone would come before every one that a vote has tempered:
    # on Amazon Toys (validation side) cold true items would then be edited four times as often as other true ones.
    order = [
        0.0 if doubt is None else score_of(doubt, NEITHER if vote is None else vote, weight)
        for doubt, vote in zip(doubts, votes, strict=True)
    ]
    edited = within_budget(order, doubted, len(scores), guards.budget)
    for place in doubted:
        if place not in edited:
            spared[place] = "budget"
    return scores, edited, spared
