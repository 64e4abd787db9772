"""The network of a click model: embedding of fields, then the model's body; scoring of rows and whole catalogues."""

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
"""Rows scored at once, divided by the length of the history where there is one."""


class ClickNetwork(nn.Module):
    """Maps rows to log-odds of a click: a constant plus the body's output for the embedded row.

    rated: whether the labels were ratings against a threshold; then a history consists of liked rows only.
    """

    rated: Tensor

    def __init__(self, fields: Fields, body: nn.Module, context: tuple[str, ...], length: int, rated: bool) -> None:
        super().__init__()
        self.fields, self.body = fields, body
        self.context, self.length = context, length
        self.constant = nn.Parameter(torch.zeros(()))
        self.register_buffer("rated", torch.tensor(rated))

    def forward(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """(n,) log-odds, and (n,) squared norms of the weights and vectors that each row uses."""
        row = self.fields(rows)
        squares = row.weights.square().sum(1)
        if row.vectors.numel():
            squares = squares + row.vectors.square().sum((1, 2))
        return self.constant + self.body(row), squares

    def moments(self, timestamp: Longs) -> Ints:
        """(n, context fields) codes of timestamps (n,) in the shared table of fields."""
        values: Ints = context_codes(self.context, timestamp) + self.fields.unknown[2:].cpu().numpy()
        return values


def likes_of(network: ClickNetwork, history: Dataset, threshold: float) -> Likes:
    """The liked rows of a history: values of at least the threshold, or all rows where the labels are choices."""
    return Likes.of(history, threshold if bool(network.rated) else None)


@torch.no_grad()
def row_scores(network: ClickNetwork, rows: Dataset, likes: Likes) -> Floats:
    """(len(rows),) log-odds of each row at its timestamp, with the likes before it as history."""
    ends = likes.before(rows.user, rows.timestamp)
    moments = network.moments(rows.timestamp)
    parts = [
        _scored(network, rows.user[part], rows.item[part], ends[part], likes, moments[part])
        for part in _blocks(len(rows), network.length)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


@torch.no_grad()
def catalogue_scores(network: ClickNetwork, users: Ints, likes: Likes) -> Floats:
    """(len(users), n_items) log-odds of each item at an unknown time after all likes."""
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
    # Copies, because torch warns about a Dataset's read-only columns.
    rows = Rows(*(None if a is None else torch.tensor(a, device=device) for a in arrays))  # type: ignore[arg-type]
    values: Floats = network(rows)[0].float().cpu().numpy()
    return values


def _blocks(n: int, length: int) -> Iterator[slice]:
    step = max(1, ROWS // max(length, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
