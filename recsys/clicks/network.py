"""A click network: the fields of a row, then the body that is the model; how rows and whole catalogues are scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..data.dataset import Dataset, Floats, Ints, Longs
from ..data.feature_table import context_codes
from .embedding import Fields, Rows
from .rows import Likes

ROWS = 2**15
"""Rows scored at once; a history takes as many rows as it has places."""


class ClickNetwork(nn.Module):
    """Rows to log-odds of a click: a constant, and what the body makes of the embedded row.

    rated: whether the labels were ratings against a threshold, in which case only liked rows make up a history.
    """

    rated: Tensor

    def __init__(self, fields: Fields, body: nn.Module, context: tuple[str, ...], length: int, rated: bool) -> None:
        super().__init__()
        self.fields, self.body = fields, body
        self.context, self.length = context, length
        self.constant = nn.Parameter(torch.zeros(()))
        self.register_buffer("rated", torch.tensor(rated))

    def forward(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """(n,) log-odds, and (n,) the squared length of the weights and vectors that each row used."""
        row = self.fields(rows)
        squares = row.weights.square().sum(1)
        if row.vectors.numel():
            squares = squares + row.vectors.square().sum((1, 2))
        return self.constant + self.body(row), squares

    def moments(self, timestamp: Longs) -> Ints:
        """(n, context fields) codes of moments, as the table of fields counts them."""
        values: Ints = context_codes(self.context, timestamp) + self.fields.unknown[2:].cpu().numpy()
        return values


def likes_of(network: ClickNetwork, history: Dataset, threshold: float) -> Likes:
    """What of a history counts as liked: rows that reach the threshold, or all where the labels are choices."""
    return Likes.of(history, threshold if bool(network.rated) else None)


@torch.no_grad()
def row_scores(network: ClickNetwork, rows: Dataset, likes: Likes) -> Floats:
    """(len(rows),) log-odds of each row at its own time, from the likes before it."""
    ends = likes.before(rows.user, rows.timestamp)
    moments = network.moments(rows.timestamp)
    parts = [
        _scored(network, rows.user[part], rows.item[part], ends[part], likes, moments[part])
        for part in _blocks(len(rows), network.length)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


@torch.no_grad()
def catalogue_scores(network: ClickNetwork, users: Ints, likes: Likes) -> Floats:
    """(len(users), n_items) log-odds of each item at an unknown moment after all likes."""
    n_items = network.fields.n_items
    flat = np.empty(len(users) * n_items, np.float32)
    for part in _blocks(len(flat), network.length):
        place = np.arange(part.start, part.stop)
        user, item = users[place // n_items], (place % n_items).astype(np.int32)
        flat[part] = _scored(network, user, item, likes.whole(user), likes, None)
    return flat.reshape(len(users), n_items)


def _scored(network: ClickNetwork, users: Ints, items: Ints, ends: Longs, likes: Likes, moments: Ints | None) -> Floats:
    device = network.constant.device
    history = likes.last(users, ends, network.length, network.fields.n_items) if network.length else None
    arrays = (users, items, moments, None, history)
    # A Dataset's columns are read-only, which torch warns of: hence copies.
    rows = Rows(*(None if a is None else torch.tensor(a, device=device) for a in arrays))  # type: ignore[arg-type]
    values: Floats = network(rows)[0].float().cpu().numpy()
    return values


def _blocks(n: int, length: int) -> Iterator[slice]:
    step = max(1, ROWS // max(length, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
