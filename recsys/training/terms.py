"""`Term`, a summand of a loss with its batches, and the term of preference pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ..data.dataset import Dataset
from .batches import Batch, part_of_pairs


@dataclass(frozen=True, slots=True)
class Term:
    """A summand of the loss: the batches of one epoch, and the loss of a batch.

    The arrays of a batch are passed to `loss` as tensors on the network's device, in the same order. The first term of
    a learner sets the length of an epoch; the batches of the others must be endless.
    """

    batches: Callable[[np.random.Generator], Iterable[Batch]]
    loss: Callable[..., Tensor]
    part: Callable[[Batch, int, int], tuple[Batch, float]] | None = None
    """(batch, rank, count) -> (one process's part of the batch, its share of the batch's loss). The shares of all parts
    sum to 1, or to 0 if all weights are 0. None: batches cannot be split over processes."""


def pairs(
    train: Dataset, weight: float, batch_size: int, prefer: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> list[Term]:
    """The BPR term of preference pairs; empty if `train` has none or `weight` is 0.

    prefer: (users, preferred, other), all (n,) codes, to x_u,preferred - x_u,other (n,).
    Every step takes a proportional share of the pairs, so that an epoch visits each about once, and scales their loss
    so that a pair of weight 1 counts as much as `weight` interactions. A step takes all pairs of a few users, because
    a sequence model's main cost is one state per user.
    """
    table = train.pairs[train.pairs["weight"] > 0].sort_values("user", kind="stable")
    if weight == 0 or table.empty:
        return []
    columns = tuple(table[c].to_numpy(np.int64) for c in ("user", "preferred", "other"))
    counts = table["weight"].to_numpy(np.float32)
    share = len(table) / max(len(train), 1)
    size = int(np.clip(round(share * batch_size), 1, len(table)))

    first = np.flatnonzero(np.diff(columns[0], prepend=-1))
    last = np.append(first[1:], len(table))

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        while True:
            order = rng.permutation(len(first))
            rows = np.concatenate([np.arange(first[user], last[user]) for user in order])
            # Cut between users, at the first boundary from each multiple of the batch size on.
            ends = np.cumsum((last - first)[order])
            cuts = np.unique(ends[np.searchsorted(ends, np.arange(size, len(rows), size))])
            for part in np.split(rows, cuts[cuts < len(rows)]):
                yield *(column[part] for column in columns), counts[part]

    def loss(users: Tensor, preferred: Tensor, other: Tensor, count: Tensor) -> Tensor:
        return weight * share * (-nn.functional.logsigmoid(prefer(users, preferred, other)) * count).mean()

    return [Term(batches, loss, part_of_pairs)]
