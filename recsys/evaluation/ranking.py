"""Exact full ranking of the catalogue, in blocks of users whose scores fit in memory together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from ...errors import DataError
from ..data.dataset import Dataset, Ints, Longs, Split
from .evaluation import Evaluation, Masks, assemble, beyond_accuracy, named
from .heldout import HeldOut, Side, held_out, known_at, known_to, pairs
from .metrics import Placement

BLOCK_SCORES = 16_000_000
"""Scores held at once by default: 64 MB of float32 here, and as much again in the model. A million items make blocks of
16 users."""

Scores = npt.NDArray[np.floating]


class Scorer(Protocol):
    """The part of a Recommender that evaluation uses."""

    @property
    def name(self) -> str: ...

    def score(self, users: Ints, history: Dataset, /) -> Scores: ...


def evaluate(
    model: Scorer,
    split: Split,
    *,
    metrics: Iterable[str] = ("recall@10", "ndcg@10"),
    side: Side = "test",
    mask_seen: bool = True,
    users: npt.ArrayLike | None = None,
    history: Dataset | None = None,
    item_groups: Masks | None = None,
    user_groups: Masks | None = None,
    block: int | None = None,
    keep_topk: bool = False,
) -> Evaluation:
    """Ranks every item for every user who has something held out on `side`, and says what the rankings are worth.

    metrics: names with a cutoff, `recall@10`; recall, precision, hr, mrr, ndcg, map a user, and coverage, gini, novelty
        of all lists, which are given for every cutoff named.
    side: `test` (known: train + valid) or `valid` (known: train).
    mask_seen: whether items the user is known to have seen are kept out of the ranking. A held-out item that was seen
        before is then left out too, and counted as `held_out_already_seen`.
    users: (n,) user codes, None for everybody. Users with nothing held out are NaN and are not ranked.
    history: what the model is given to score from, where that differs from what is known (refined sequences). What is
        masked always follows the split, so that variants of one dataset are ranked over the same candidates.
    item_groups, user_groups: boolean masks over all items (n_items,) and all users (n_users,), by name.
    block: users scored together; None chooses it by memory.
    keep_topk: whether the lists are kept, as deep as the largest cutoff.

    Ties count at their expected place (see `metrics.py`); in the lists the lower item code comes first. A score of
    -inf means that the model does not recommend the item: it enters no list and, if held out, is a miss. Raises
    ConfigError for unknown metrics, DataError when the model gives NaN or another shape than (users, n_items).
    """
    wanted = named(metrics)
    known = known_at(split, side)
    targets = held_out(split, side, users, known if mask_seen else None)
    n_items = known.n_items
    rows = np.flatnonzero(targets.counts() > 0)
    block = block or max(1, BLOCK_SCORES // n_items)
    depth = min(max(metric.k for metric in wanted), n_items)
    lists = np.full((len(targets.users), depth), -1, np.int64)
    given = known if history is None else history
    parts = []
    for start in range(0, len(rows), block):
        here = rows[start : start + block]
        codes = targets.users[here]
        scores = scored(model, codes, given, n_items)
        if mask_seen:
            seen_row, seen_item = pairs(known, codes)
            scores[seen_row, seen_item] = -np.inf
        first, last = np.searchsorted(targets.row, [here[0], here[-1] + 1])
        row = np.searchsorted(here, targets.row[first:last])
        above, tied, lists[here] = place(scores, row, targets.item[first:last], depth, model.name)
        parts.append((above, tied))
    placed, item = _together(targets, parts)
    protocol = {
        "ranking": "full",
        "model": model.name,
        "side": side,
        "known": "train+valid" if side == "test" else "train",
        "seen_items": "masked" if mask_seen else "ranked",
        "scored_from": "known" if history is None else history.name,
        "ties": "expected",
        "items": n_items,
    }
    return assemble(
        placed,
        item,
        targets,
        wanted,
        protocol,
        item_groups=item_groups or {},
        user_groups=user_groups or {},
        beyond=beyond_accuracy(lists, wanted, known_to(known), known.n_users),
        topk=lists if keep_topk else None,
    )


def place(
    scores: Scores, row: npt.NDArray[np.integer], item: npt.NDArray[np.integer], depth: int, model: str
) -> tuple[Longs, Longs, npt.NDArray[np.int64]]:
    """Where the items stand in the rankings that scores (b, n) make, as far as the first `depth` places are concerned.

    row, item: (m,) the entries of `scores` asked about. Gives above (m,), how many items score strictly higher; tied
    (m,), how many score the same, the item included, or 0 where it cannot be among the first `depth`; and the lists
    (b, depth), -1 where nothing is left that scores above -inf. Raises DataError, naming the model, for NaN.

    Only the depth + 1 best are sorted out. An item below the last of them is deeper than any cutoff; above it, counting
    among the best is exact; only for a tie that the cut goes through is the whole row counted.
    """
    deep = min(depth + 1, scores.shape[1])
    best, best_item = (ranked.numpy() for ranked in torch.topk(torch.from_numpy(scores), deep, dim=1))
    if np.isnan(best[:, 0]).any():  # topk puts NaN first
        raise DataError(f"model {model!r} scored items NaN; look for a division by zero or a training that diverged")
    value = scores[row, item]
    cut = best[:, depth - 1]
    inside = (value >= cut[row]) & (value > -np.inf)
    above, tied = np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    chosen = np.flatnonzero(inside)
    stride = max(1, BLOCK_SCORES // deep)
    for start in range(0, len(chosen), stride):
        some = chosen[start : start + stride]
        top, own = best[row[some], :depth], value[some, None]
        above[some] = (top > own).sum(axis=1)
        tied[some] = (top == own).sum(axis=1)
    if deep > depth:
        torn = (best[:, depth] == cut) & (cut > -np.inf)
        for entry in np.flatnonzero(inside & torn[row] & (value == cut[row])):
            tied[entry] = np.count_nonzero(scores[row[entry]] == value[entry])
        for one in np.flatnonzero(torn):
            above_cut = best[one, :depth] > cut[one]
            equal = np.flatnonzero(scores[one] == cut[one])
            best_item[one, np.flatnonzero(~above_cut)] = equal[: depth - above_cut.sum()]
    return above, tied, _ordered(best[:, :depth], best_item[:, :depth])


def _ordered(best: Scores, item: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Lists sorted by score, then by item code, without what is never recommended."""
    lists = item.copy()
    equal = np.flatnonzero((best[:, 1:] == best[:, :-1]).any(axis=1))
    order = np.lexsort((item[equal], -best[equal]), axis=1)
    lists[equal] = np.take_along_axis(item[equal], order, axis=1)
    lists[best == -np.inf] = -1
    return lists


def scored(model: Scorer, users: Ints, history: Dataset, n_items: int) -> Scores:
    """The model's scores as an array that masking may write to; the model's own is left alone."""
    scores = np.asarray(model.score(users, history))
    if scores.shape != (len(users), n_items):
        raise DataError(
            f"model {model.name!r} gave scores of shape {scores.shape} for {len(users)} users; "
            f"a recommender scores every item, ({len(users)}, {n_items})"
        )
    return np.array(scores, dtype=scores.dtype if scores.dtype in (np.float32, np.float64) else np.float64, order="C")


def _together(targets: HeldOut, parts: list[tuple[Longs, Longs]]) -> tuple[Placement, Longs]:
    above = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, np.int64)
    tied = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, np.int64)
    ranked = tied > 0
    placed = Placement(targets.row[ranked], above[ranked], tied[ranked], targets.counts())
    return placed, targets.item[ranked]
