"""Detectors that are learnt from some rows and score others: the residual of EASE, the likelihood of SASRec.

Both are functions of (data, rows to learn from) to (n,) doubts of all rows; `cross_fitted` learns each row's detector
without the row's owner.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.denoising.coherence import REACH, pairs_around
from recloop.recsys.denoising.owners import Bools, Doubts, owners
from recloop.recsys.models.ease import EASE, EASEConfig
from recloop.recsys.models.recommender import FitContext, fitted
from recloop.recsys.models.sasrec import SASRec, SASRecConfig
from recloop.recsys.training.batches import pieces, windows

LIKELIHOOD = SASRecConfig(loss="sampled_softmax", epochs=30, dropout=0.3, max_length=20)
"""Sampled, because a detector is trained once a fold; all items are ranked when it judges. Our own values."""
_LOGITS = 4_000_000
"""Held at once while likelihoods are read: 16 MB."""


def ease_doubt(data: Dataset, learn: Bools, config: EASEConfig = EASEConfig(l2=50.0), reach: int = REACH) -> Doubts:
    """One minus what EASE, learnt from the owners of `learn`, expects of an item from those around it (its residual).

    Unknown items have probability 0, hence doubt 1.
    """
    model = EASE(config)
    model.fit(one_sequence_each(data, learn))
    weights = fitted(model.name, model.weights)
    expected = np.zeros(len(data))
    for first, second in pairs_around(data, reach):
        expected[second] += weights[data.item[first], data.item[second]]
        expected[first] += weights[data.item[second], data.item[first]]
    return 1 - expected


def sasrec_doubt(
    data: Dataset, learn: Bools, config: SASRecConfig = LIKELIHOOD, context: FitContext = FitContext()
) -> Doubts:
    """Minus the log-probability of an item after those before it, by SASRec learnt from the owners of `learn`.

    The first item of a user has nothing before it: it gets the median doubt, which says nothing.
    """
    model = SASRec(config)
    model.fit(one_sequence_each(data, learn), None, context)
    losses_by_row = next_item_losses(model, data)
    return np.where(np.isnan(losses_by_row), np.nanmedian(losses_by_row), losses_by_row)


@torch.no_grad()
def next_item_losses(model: SASRec, data: Dataset) -> Doubts:
    """(n,) -log p(item | the items before it in the same user), over the whole catalogue; NaN for a user's first."""
    network = fitted(model.name, model.network).eval()
    losses_by_row = np.full(len(data), np.nan)
    # Cut anew each epoch in training; one fixed cut is enough to read them.
    users, start, steps = pieces(data, model.config.max_length, np.random.default_rng(0))
    device, step = network.items.device, max(1, _LOGITS // (data.n_items * model.config.max_length))
    for at in range(0, len(users), step):
        part = slice(at, at + step)
        seen = windows(data, users[part], start[part], steps[part] + 1, int(steps[part].max()) + 1, data.n_items)
        inputs, targets = seen.items[:, :-1].copy(), seen.items[:, 1:]
        real = targets != data.n_items
        inputs[~real] = data.n_items
        states = network(torch.as_tensor(users[part], device=device), torch.as_tensor(inputs, device=device))
        wanted = torch.as_tensor(targets[real].astype(np.int64), device=device)
        target_losses = torch.nn.functional.cross_entropy(states @ network.items.T, wanted, reduction="none")
        losses_by_row[seen.rows[:, 1:][real]] = target_losses.double().cpu().numpy()
    return losses_by_row


def one_sequence_each(data: Dataset, rows: Bools | None = None) -> Dataset:
    """The data with one user per owner: the items of all its windows in order of first appearance, each once.

    rows: (n,) mask of the rows to use. Windows of one owner are read in the order of the source.
    """
    used = np.flatnonzero(data.weight > 0 if rows is None else rows & (data.weight > 0))
    owner = owners(data)[data.user[used]]
    frame = pd.DataFrame({"user_id": owner, "item": data.item[used]}).drop_duplicates()
    codes, ids = pd.factorize(frame["user_id"])
    interactions = pd.DataFrame(
        {
            "user": codes.astype(np.int32),
            "item": frame["item"].to_numpy(np.int32),
            "timestamp": np.arange(len(frame), dtype=np.int64),
            "value": np.ones(len(frame), np.float32),
            "weight": np.ones(len(frame), np.float32),
        }
    )
    return Dataset(data.name, data.interactions.iloc[:0], data.items, data.users.iloc[:0]).with_(
        interactions=interactions, users=pd.DataFrame({"user_id": ids})
    )


def cross_fitted(
    data: Dataset, doubt: Callable[[Bools, Bools], Doubts], folds: int, seed: int, scored: Bools | None = None
) -> Doubts:
    """(n,) doubts of rows by detectors that have not seen the row's owner; NaN where `scored` (n,) is false.

    doubt: (mask of rows to learn from, mask of rows to score) -> (n,) doubts, read at the rows to score. Folds are of
    whole owners, assigned at random by the seed.
    """
    owner = owners(data)
    fold_of_row = (
        np.random.default_rng([seed, 17]).permutation(int(owner.max(initial=-1)) + 1)[owner][data.user] % folds
    )
    doubts = np.full(len(data), np.nan)
    for fold in range(folds):
        here = (fold_of_row == fold) & (True if scored is None else scored)
        if here.any():
            doubts[here] = doubt(fold_of_row != fold, here)[here]
    return doubts
