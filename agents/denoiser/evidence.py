"""Collaborative evidence about a sequence: who else holds its items, which go together, what could stand there instead.

It is counted over a sample of whole users without the user in question, and never from what a denoiser is measured by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ...recsys.data import Dataset
from ...recsys.data.dataset import Longs
from ...recsys.denoising.coherence import neighbour_doubt
from ...recsys.denoising.owners import holdings, owners

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CollaborativeEvidence:
    """held: (owners, n_items) of the sample; together: (n_items, n_items) owners who hold both; reference: the doubts
    of all its rows, ascending; rows: user id -> row of `held`."""

    held: csr_matrix
    together: csr_matrix
    alone: Floats
    reference: Floats
    rows: Mapping[int | str, int]
    shrink: float

    @classmethod
    def of(cls, sample: Dataset, shrink: float = 5.0) -> CollaborativeEvidence:
        """Counted over the train side `sample`."""
        held = holdings(sample)
        owner = owners(sample)
        return cls(
            held=held,
            together=(held.T @ held).tocsr(),
            alone=np.asarray(held.sum(0), np.float64).ravel(),
            reference=np.sort(neighbour_doubt(sample, shrink=shrink)),
            rows=dict(zip(sample.users["user_id"].tolist(), owner.tolist(), strict=True)),
            shrink=shrink,
        )

    def others(self, user: int | str, items: Longs) -> Floats:
        """(n,) how many other owners hold each item."""
        return self.alone[items] - self._own(user, items)

    def near(self, user: int | str, items: Longs) -> Floats:
        """(n, n) cosines of the items over the other owners, 0 on the diagonal."""
        own, count = self._own(user, items), self.others(user, items)
        both = self.together[items][:, items].toarray().astype(np.float64) - np.outer(own, own)
        near = both / np.sqrt(np.outer(count + self.shrink, count + self.shrink))
        np.fill_diagonal(near, 0)
        return np.asarray(near)

    def votes(self, user: int | str, items: Longs, cold: int) -> list[float | None]:
        """(n,) share of all rows that fit their context better than this one; None for an item that is cold."""
        near, others = self.near(user, items), self.others(user, items)
        doubts = 1 - near.sum(1) / max(len(items) - 1, 1)
        share = np.searchsorted(self.reference, doubts, side="left") / max(len(self.reference), 1)
        return [None if count < cold else float(vote) for vote, count in zip(share, others, strict=True)]

    def candidates(self, user: int | str, context: Longs, without: Sequence[int], count: int) -> list[int]:
        """The items that go best with the context, the best first; none that the user has, none that nobody holds."""
        together = np.asarray(self.together[context].sum(0), np.float64).ravel()
        own = self.held[self.rows[user]].toarray().ravel() if user in self.rows else np.zeros(len(self.alone))
        together -= own * own[context].sum()
        score = together / np.sqrt(self.alone + self.shrink)
        score[list(without)] = 0
        best = np.argsort(-score, kind="stable")[:count]
        return [int(item) for item in best if score[item] > 0]

    def _own(self, user: int | str, items: Longs) -> Floats:
        row = self.rows.get(user)
        return np.zeros(len(items)) if row is None else self.held[row, items].toarray().ravel().astype(np.float64)
