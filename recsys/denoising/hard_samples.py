"""Rows for a language model to judge: large losses, and of these the ones with varying predictions (LLMHD).

LLMHD (arXiv 2409.10343): the interactions with the highest losses are suspected; of those the ones with the highest
variance of the prediction over the last epochs are candidates, because hard samples vary more than noise. Only
candidates are sent to the language model. The shares are our own; losses can come from any training.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ..data.dataset import Dataset
from ..models.lightgcn import LightGCN, LightGCNConfig
from ..models.recommender import FitContext
from .owners import Bools, Doubts

Losses = npt.NDArray[np.float64]
_BLOCK = 256
"""Users scored at once."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """(n,) each. suspected: rows of high loss. candidate: of these, those that vary most, which may be hard samples and
    not noise. flagged: number of epochs in which a row was of high loss."""

    suspected: Bools
    candidate: Bools
    flagged: npt.NDArray[np.int64]


def candidates(losses: Losses, high: float = 0.2, vary: float = 0.5, last: int = 3) -> Candidates:
    """Candidates from the losses (epochs, n) of every row after each epoch.

    high: share of rows that is suspected, by the mean loss of the `last` epochs; vary: share of the suspected rows that
    are candidates, by the variance of exp(-loss) over these epochs. Ties go to the earlier row. DataError for losses
    that are not finite or of fewer than two epochs.
    """
    if losses.ndim != 2 or len(losses) < 2 or not np.isfinite(losses).all():
        raise DataError(f"losses {losses.shape} must be finite, a line an epoch, of two epochs or more")
    recent = losses[-last:]
    suspected = _largest(recent.mean(0), np.arange(losses.shape[1]), high)
    moved = np.exp(-recent).var(0)
    candidate = _largest(moved, np.flatnonzero(suspected), vary)
    flagged = np.stack([_largest(one, np.arange(losses.shape[1]), high) for one in losses]).sum(0)
    return Candidates(suspected, candidate, flagged.astype(np.int64))


def losses_by_epoch(train: Dataset, epochs: int, config: LightGCNConfig = LightGCNConfig(), seed: int = 0) -> Losses:
    """(epochs, n) -log p(item | user) of every row, over the whole catalogue, after each epoch of LightGCN."""
    losses = np.empty((epochs, len(train)))
    with tempfile.TemporaryDirectory() as folder:
        for epoch in range(epochs):
            # A training resumes from its checkpoint: each call adds one epoch to the last.
            model = LightGCN(config.model_copy(update={"epochs": epoch + 1}))
            model.fit(train, None, FitContext(seed=seed, folder=Path(folder)))
            losses[epoch] = _row_losses(model, train)
    return losses


def _row_losses(model: LightGCN, train: Dataset) -> Doubts:
    losses = np.empty(len(train))
    for first in range(0, train.n_users, _BLOCK):
        users = np.arange(first, min(first + _BLOCK, train.n_users), dtype=np.int32)
        scores = model.score(users, train).astype(np.float64)
        top = scores.max(1)
        whole = np.log(np.exp(scores - top[:, None]).sum(1)) + top
        rows = slice(int(train.indptr[first]), int(train.indptr[users[-1] + 1]))
        at = train.user[rows] - first
        losses[rows] = whole[at] - scores[at, train.item[rows]]
    return losses


def _largest(values: Doubts, among: npt.NDArray[np.int64], share: float) -> Bools:
    """(n,) the ceil(share * m) largest of the m values at `among`."""
    chosen = np.zeros(len(values), bool)
    order = among[np.argsort(-values[among], kind="stable")]
    chosen[order[: int(np.ceil(share * len(among)))]] = True
    return chosen
