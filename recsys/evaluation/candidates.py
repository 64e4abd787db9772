"""Ranking of given candidate lists, each with one true item: the protocol of most LLM recommenders."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ..data.dataset import Dataset, Ints
from .evaluation import Evaluation, Masks, assemble, named
from .heldout import HeldOut, user_codes
from .metrics import Placement
from .ranking import BLOCK_SCORES, Scorer, Scores

Candidates = npt.NDArray[np.integer]
ScoreCandidates = Callable[[Ints, Candidates], Scores]
"""(n,) users and their (n, m) candidates -> (n, m) scores, higher is better."""


def evaluate_candidates(
    model: Scorer | ScoreCandidates,
    users: npt.ArrayLike,
    candidates: Candidates,
    truth: npt.NDArray[np.integer],
    *,
    known: Dataset,
    metrics: Iterable[str] = ("recall@10", "ndcg@10"),
    name: str | None = None,
    item_groups: Masks | None = None,
    user_groups: Masks | None = None,
) -> Evaluation:
    """Ranks each user's candidates and says where the true one stands.

    model: a recommender, or a function of (users, candidates) that gives their scores.
    users: (n,) user codes. candidates: (n, m) item codes, -1 where a list is shorter. truth: (n,) the item code that is
        right, one of the candidates. known: what the recommender scores from, and whose codes these are.

    Ties count at their expected place, so the order in which candidates are listed never matters. A candidate scored
    -inf is not recommended; if it is the true one, it is a miss. Candidates are ranked as given, seen ones included.
    Raises DataError for a truth that is not among the candidates, an item listed twice, codes out of range or NaN.
    """
    wanted = named(metrics)
    codes = user_codes(users, known.n_users)
    listed, right = _checked(codes, np.asarray(candidates), np.asarray(truth), known)
    given = listed >= 0
    label = str(name or getattr(model, "name", None) or getattr(model, "__name__", type(model).__name__))
    scores = np.where(given, _scores(model, codes, listed, known, label), -np.inf)
    if np.isnan(scores).any():
        raise DataError(f"model {label!r} scored a candidate of user {codes[np.isnan(scores).any(axis=1)][0]} NaN")
    # Exactly one column of a row is the true item, so that this is (n, 1).
    own = scores[listed == right[:, None]][:, None]
    above, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    ranked = np.flatnonzero(own[:, 0] > -np.inf)
    targets = HeldOut(codes, np.arange(len(codes)), right, 0)
    placed = Placement(ranked, above[ranked], tied[ranked], targets.counts())
    protocol = {
        "ranking": "candidates",
        "model": label,
        "candidates": int(listed.shape[1]),
        "shortest_list": int(given.sum(axis=1).min(initial=listed.shape[1])),
        "seen_items": "as given",
        "ties": "expected",
    }
    return assemble(
        placed,
        right[ranked],
        targets,
        wanted,
        protocol,
        item_groups=item_groups or {},
        user_groups=user_groups or {},
        beyond={},
    )


def _scores(model: Scorer | ScoreCandidates, users: Ints, listed: Candidates, known: Dataset, label: str) -> Scores:
    if not hasattr(model, "score"):
        scores = np.asarray(model(users, listed), np.float64)
        if scores.shape != listed.shape:
            raise DataError(f"{label!r} gave scores of shape {scores.shape} for candidates of shape {listed.shape}")
        return scores
    scores = np.empty(listed.shape)
    block = max(1, BLOCK_SCORES // known.n_items)
    for start in range(0, len(users), block):
        here = slice(start, start + block)
        every = np.asarray(model.score(users[here], known))
        if every.shape != (len(users[here]), known.n_items):
            raise DataError(f"model {label!r} gave scores of shape {every.shape}; a recommender scores every item")
        scores[here] = np.take_along_axis(every, np.maximum(listed[here], 0), axis=1)
    return scores


def _checked(
    users: Ints, candidates: Candidates, truth: npt.NDArray[np.integer], known: Dataset
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if candidates.ndim != 2 or len(candidates) != len(users) or truth.shape != (len(users),):
        raise DataError(
            f"{len(users)} users need (n, m) candidates and (n,) truths, got {candidates.shape} and {truth.shape}"
        )
    listed, right = candidates.astype(np.int64), truth.astype(np.int64)
    if listed.size and (listed.min() < -1 or listed.max() >= known.n_items):
        raise DataError(f"candidates hold item codes outside -1..{known.n_items - 1}; -1 fills up shorter lists")
    ordered = np.sort(listed, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise DataError(f"user {users[twice][0]}: a candidate is listed twice; list each item once")
    absent = ~((listed == right[:, None]) & (listed >= 0)).any(axis=1)
    if absent.any():
        raise DataError(
            f"user {users[absent][0]}: the true item {right[absent][0]} is not among the candidates; "
            "add it, or leave the user out and say so"
        )
    return listed, right
