"""Truth pairs: pairs of scored items of which a held-out side shows which one the user took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.dataset import Dataset, Floats, Ints, Longs
from .scores import PairScores


@dataclass(frozen=True, slots=True)
class TruthPairs:
    """n pairs of scored items of one user each: taken in the held-out side, and other, on neither side.

    taken, other: (n,) rows of the score table. right: 1 if the LLM scored the taken item higher, 0 if lower, 1/2 for a
    tie. weight: sums to 1 over each user's pairs.
    """

    taken: Longs
    other: Longs
    user: Ints
    right: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.right)

    @property
    def users(self) -> int:
        return len(np.unique(self.user))

    def agreement(self) -> float:
        """Share of right pairs, averaged over users: the LLM's AUC within users. NaN without pairs."""
        return float(np.average(self.right, weights=self.weight)) if len(self) else float("nan")


def truth_pairs(
    scores: PairScores, train: Dataset, truth: Dataset, least_gap: float = 0.0, threshold: float | None = None
) -> TruthPairs:
    """Every scored item that was taken in `truth`, paired with every scored item on neither side.

    truth: interactions that are not in train. threshold: smallest value that counts as taken; a lower one counts as
    not taken. Pairs whose scores differ by less than least_gap are left out, as in the guidance.
    """
    key = _keys(scores.user, scores.item, train.n_items)
    seen = np.isin(key, _keys(train.user, train.item, train.n_items))
    rated = _keys(truth.user, truth.item, train.n_items)
    good = rated if threshold is None else rated[truth.value >= threshold]
    taken = np.isin(key, good) & ~seen
    open_ = ~taken & ~seen
    first = scores.first(train.n_users)
    ones, others = [], []
    for user in np.unique(scores.user[taken]):
        rows = np.arange(first[user], first[user + 1])
        a, b = rows[taken[rows]], rows[open_[rows]]
        ones.append(np.repeat(a, len(b)))
        others.append(np.tile(b, len(a)))
    one = np.concatenate(ones) if ones else np.empty(0, np.int64)
    other = np.concatenate(others) if others else np.empty(0, np.int64)
    if least_gap > 0:
        wide = np.abs(scores.score[one] - scores.score[other]) >= least_gap
        one, other = one[wide], other[wide]
    right = (np.sign(scores.score[one] - scores.score[other]) + 1) / 2
    user = scores.user[one]
    weight = 1 / np.bincount(user, minlength=train.n_users)[user] if len(user) else np.empty(0)
    return TruthPairs(one, other, user, right.astype(np.float32), weight.astype(np.float32))


def apart(valid: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """`valid` split by user into two sides: for early stopping, and for fitting the gate (`share` of the users).

    Users are ordered by a number drawn by rng [seed, 11, user], which does not depend on the other users.
    """
    users = np.unique(valid.user)
    draws = np.array([np.random.default_rng([seed, 11, int(user)]).random() for user in users])
    to_gate = np.zeros(valid.n_users, bool)
    to_gate[users[np.argsort(draws, kind="stable")[: round(share * len(users))]]] = True
    return valid.rows(~to_gate[valid.user]), valid.rows(to_gate[valid.user])


def _keys(user: npt.NDArray[np.integer], item: npt.NDArray[np.integer], n_items: int) -> Longs:
    return user.astype(np.int64) * n_items + item
