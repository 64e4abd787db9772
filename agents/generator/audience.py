"""Users for an item: those whom it fits best by content and by neighbours, among the users who do not hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix, csr_matrix

from ...recsys.data import Dataset
from ...recsys.data.dataset import Floats
from ..catalogue import has_text
from ..fusion import plain
from .config import Generate
from .evidence import Bools, ItemEvidence, recent_of
from .machine import AudienceMember


@dataclass(frozen=True, eq=False)
class Audience:
    """recents: (n_users, n_items) rows of 1/k over a user's last k items. tastes: (n_users, d) unit means of their
    texts. holds: (n_users, n_items) true where a user has an item."""

    data: Dataset
    evidence: ItemEvidence
    config: Generate
    recents: csr_matrix
    tastes: Floats
    holds: csc_matrix
    ties: Floats
    worded: Bools
    """(n_items,) whether the item has a text."""

    @classmethod
    def of(cls, data: Dataset, evidence: ItemEvidence, config: Generate) -> Audience:
        """The users of `data` with `min_history` interactions or more."""
        worded = has_text(data)
        lists = [recent_of(data, user, config.history, worded) for user in range(data.n_users)]
        lists = [items if len(items) >= config.min_history else items[:0] for items in lists]
        sizes = np.array([len(items) for items in lists])
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        shape = data.n_users, data.n_items
        values = np.repeat(1 / np.maximum(sizes, 1), sizes).astype(np.float32)
        recents = csr_matrix((values, np.concatenate([*lists, np.empty(0, np.int32)]), indptr), shape=shape)
        tastes = np.asarray(recents @ evidence.vectors, np.float32)
        tastes /= np.maximum(np.linalg.norm(tastes, axis=1, keepdims=True), 1e-12)
        holds = csc_matrix((np.ones(len(data), bool), (data.user, data.item)), shape=shape)
        ties = pd.util.hash_array(data.users["user_id"].astype(str).to_numpy(object)).astype(np.float32)
        return cls(data, evidence, config, recents, tastes, holds, ties, worded)

    def likeliest(self, item: int, count: int) -> list[AudienceMember]:
        """The `count` users whom the item fits best, best first; of equals by a hash of their id."""
        content = np.clip(self.tastes @ self.evidence.vectors[item], 0, 1)
        neighbours = np.asarray((self.recents @ self.evidence.alike[:, [item]]).todense()).ravel()
        fit = self.config.content * content + (1 - self.config.content) * neighbours
        fit[np.diff(self.recents.indptr) == 0] = -1
        fit[self.holds.indices[self.holds.indptr[item] : self.holds.indptr[item + 1]]] = -1
        best = np.lexsort((self.ties, -fit))[:count]
        ids = self.data.users["user_id"]
        return [
            AudienceMember(
                user=plain(ids.iat[user]),
                recent=recent_of(self.data, int(user), self.config.user_history, self.worded).tolist(),
            )
            for user in best
            if fit[user] >= 0
        ]
