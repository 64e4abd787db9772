"""Batches of the guidance term: the scored items of an epoch by user, cut into steps and split over processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..data.dataset import Longs
from ..training.batches import stretch
from ..training.loop import Batch
from .pairs import ScoredPairs
from .scores import PairScores


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of the scored items of one user each, and the pairs of items to compare; a step takes whole lists.

    List k belongs to user[k]. Its rows of the score table are row[first_row[k]:first_row[k + 1]]; first_pair slices
    `better` and `worse` likewise, which are positions within the list's rows. There are no pairs for the forms on
    single items and on lists.
    """

    scores: PairScores
    user: Longs
    row: Longs
    first_row: Longs
    better: Longs
    worse: Longs
    first_pair: Longs

    @classmethod
    def of(cls, scores: PairScores, pairs: ScoredPairs | None) -> Lists:
        """Lists of all scored rows, or of those in a pair, each once, so that no row is scored twice."""
        nothing = np.empty(0, np.int64)
        if pairs is None:
            row, better, worse = np.arange(len(scores)), nothing, nothing
        else:
            row = np.unique(np.concatenate([pairs.better, pairs.worse]))
            better, worse = (np.searchsorted(row, side) for side in (pairs.better, pairs.worse))
        user, first_row, size = np.unique(scores.user[row], return_index=True, return_counts=True)
        first_row = np.append(first_row, len(row))
        of_pair = np.repeat(np.arange(len(user)), size)[better]
        first_pair = np.searchsorted(of_pair, np.arange(len(user) + 1))
        start = first_row[of_pair]
        return cls(scores, user.astype(np.int64), row, first_row, better - start, worse - start, first_pair)

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, chosen: Longs) -> Longs:
        """The rows of the score table in these lists."""
        return self.row[_spans(self.first_row, chosen)[0]]

    def pairs(self, chosen: Longs) -> tuple[Longs, Longs]:
        """The pairs of these lists, as rows of the score table: (better, worse)."""
        start = self.first_row[np.repeat(chosen, np.diff(self.first_pair)[chosen])]
        places = _spans(self.first_pair, chosen)[0]
        return self.row[start + self.better[places]], self.row[start + self.worse[places]]

    def steps(self, order: Longs, size: int) -> Iterator[Batch]:
        """Batches of `size` lists, in this order.

        A batch is users (m,), one per list; place (n,), each row's index into users; items, rows of the score table and
        LLM scores, (n,) each; better and worse (p,), positions within the n rows. Arrays are made once; batches are
        slices.
        """
        rows, row_ends = _spans(self.first_row, order)
        pairs, pair_ends = _spans(self.first_pair, order)
        users, rows = self.user[order], self.row[rows]
        place = np.repeat(np.arange(len(order)), np.diff(row_ends))
        start = np.repeat(row_ends[:-1], np.diff(pair_ends))
        better, worse = self.better[pairs] + start, self.worse[pairs] + start
        items, llm_score = self.scores.item[rows].astype(np.int64), self.scores.score[rows]
        for first in range(0, len(order), size):
            last = min(first + size, len(order))
            r, p = slice(row_ends[first], row_ends[last]), slice(pair_ends[first], pair_ends[last])
            yield (
                users[first:last],
                place[r] - first,
                items[r],
                rows[r],
                llm_score[r],
                better[p] - r.start,
                worse[p] - r.start,
            )


def nothing() -> Batch:
    """An empty batch, for a step without guidance."""
    empty = np.empty(0, np.int64)
    return empty, empty, empty, empty, np.empty(0, np.float32), empty, empty


def part_of_lists(batch: Batch, which: int, parts: int) -> tuple[Batch, float]:
    """One process's part of a batch: a slice of its lists, and the part's share of the pairs (or rows without pairs),
    over which the loss is a mean."""
    users, place, items, rows, llm_score, better, worse = batch
    mine = stretch(len(users), which, parts)
    first, last = np.searchsorted(place, [mine.start, mine.stop])
    inside = (better >= first) & (better < last)
    columns = (array[first:last] for array in (items, rows, llm_score))
    part = (users[mine], place[first:last] - mine.start, *columns, better[inside] - first, worse[inside] - first)
    whole = len(better) or len(rows)
    return part, (inside.sum() if len(better) else last - first) / max(whole, 1)


def _spans(first: Longs, chosen: Longs) -> tuple[Longs, Longs]:
    """Concatenated positions first[k]:first[k + 1] of each chosen k, and their offsets (len(chosen) + 1,)."""
    size = np.diff(first)[chosen]
    ends = np.concatenate([[0], np.cumsum(size)])
    return np.arange(ends[-1]) - np.repeat(ends[:-1] - first[chosen], size), ends
