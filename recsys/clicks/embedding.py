"""Embedding of rows: a scalar weight and a vector for every value of every field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.dataset import Dataset
from ..data.feature_table import FeatureTable
from ..models.initial_vectors import start_together
from ..training.checkpoints import Arrays

PADDING = 0
"""Code that pads lists; its row of the table is neither read nor trained."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows to score, as tensors; None where not used.

    users, items (n,) codes; context (n, context fields) codes in the shared table; hidden (n, 3), true where the user,
    the item or the context is replaced by "unknown" (an unknown user has no history); history (n, length) item codes,
    n_items as padding.
    """

    users: Tensor
    items: Tensor
    context: Tensor | None = None
    hidden: Tensor | None = None
    history: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """n embedded rows of f fields with vectors of size d.

    weights (n, f): the scalar weight of each field's value, (n, 0) for a model without weights; vectors (n, f, d);
    item (n, i * d): the concatenated vectors of the i item fields; history (r, i * d): those of the liked items, for
    the r true positions of `real` (n, length) in row-major order.
    """

    weights: Tensor
    vectors: Tensor
    item: Tensor
    history: Tensor
    real: Tensor


class Fields(nn.Module):
    """One embedding table for all fields: row 0 is padding, then the codes of the first field, of the second ...

    A list field (an item's categories) is embedded as the mean over its values. The codes of users and items are
    buffers of the network, so that a saved model needs no feature table.
    """

    user_codes: Tensor
    item_codes: Tensor
    unknown: Tensor

    def __init__(self, codes: Arrays, n_codes: int, size: int, weighed: bool) -> None:
        super().__init__()
        for name, array in codes.items():
            self.register_buffer(name, torch.as_tensor(array))
        self.n_lists = sum(name.startswith("list_") for name in codes)
        self.weights = nn.Parameter(torch.zeros(n_codes, 1)) if weighed else None
        self.vectors = nn.Parameter(torch.randn(n_codes, size) * 0.05) if size else None

    @classmethod
    def of(cls, table: FeatureTable, size: int, weighed: bool) -> Fields:
        """Fields for `table` with vectors of this size (0: none) and, if `weighed`, scalar weights."""
        first = 1 + np.cumsum([0, *table.sizes])
        n_users, n_items, n_lists = table.users.shape[1], table.items.shape[1], len(table.lists)
        codes: Arrays = {
            "user_codes": table.users + first[:n_users],
            "item_codes": table.items + first[n_users : n_users + n_items],
            "unknown": np.r_[first[0], first[n_users], first[n_users + n_items + n_lists : -1]],
        }
        for number, values in enumerate(table.lists):
            offset = first[n_users + n_items + number]
            codes[f"list_{number}"] = np.where(values < 0, PADDING, values + offset)
        return cls({name: array.astype(np.int32) for name, array in codes.items()}, int(first[-1]), size, weighed)

    @classmethod
    def from_state(cls, state: Arrays) -> Fields:
        """Fields with the shapes of saved ones; the parameters are loaded afterwards."""
        codes = {name: a for name, a in state.items() if name not in ("weights", "vectors")}
        size = state["vectors"].shape[1] if "vectors" in state else 0
        return cls(codes, len(state["vectors" if size else "weights"]), size, "weights" in state)

    @property
    def n_items(self) -> int:
        return len(self.item_codes)

    @property
    def n_fields(self) -> int:
        return self.user_codes.shape[1] + self.n_item_fields + self.n_context

    @property
    def n_item_fields(self) -> int:
        return self.item_codes.shape[1] + self.n_lists

    @property
    def n_context(self) -> int:
        return len(self.unknown) - 2

    def start_from(self, train: Dataset) -> None:
        """Initialises the vectors of user and item ids from `train.user_vectors` and `train.item_vectors`, if any."""
        if self.vectors is None:
            return
        places = [self.user_codes[:, 0].long(), self.item_codes[:, 0].long()]
        with torch.no_grad():
            starts = [self.vectors[place] for place in places]
            start_together(starts[0], starts[1], train)
            for place, start, unknown in zip(places, starts, self.unknown[:2], strict=True):
                known = place != unknown
                self.vectors[place[known]] = start[known]

    def forward(self, rows: Rows) -> Embedded:
        users, items = self.user_codes[rows.users], self.item_codes[rows.items]
        context = rows.context if rows.context is not None else self.unknown[2:].expand(len(users), -1)
        if rows.hidden is not None:
            user, item, moment = rows.hidden.unbind(1)
            users = torch.cat([users[:, :1].where(~user[:, None], self.unknown[0]), users[:, 1:]], 1)
            items = torch.cat([items[:, :1].where(~item[:, None], self.unknown[1]), items[:, 1:]], 1)
            context = context.where(~moment[:, None], self.unknown[2:])
        lists = self._lists(rows.items)
        parts = users.shape[1], items.shape[1], context.shape[1]
        codes = torch.cat([users, items, context], 1)
        weights = self.unknown.new_empty(len(users), 0, dtype=torch.float32)
        if self.weights is not None:
            user, item, moment = F.embedding(codes, self.weights)[..., 0].split(parts, 1)
            weights = torch.cat([user, item, *(_means(values, self.weights) for values in lists), moment], 1)
        if self.vectors is None:
            nothing = weights.new_empty(len(weights), 0)
            return Embedded(weights, nothing, nothing, nothing, nothing)
        user, item, moment = F.embedding(codes, self.vectors).split(parts, 1)
        item = torch.cat([item, *(_means(values, self.vectors)[:, None] for values in lists)], 1)
        history, real = item[:0].flatten(1), weights.new_empty(len(weights), 0, dtype=torch.bool)
        if rows.history is not None:
            real = rows.history != self.n_items
            if rows.hidden is not None:
                real = real & ~rows.hidden[:, :1]
            # Histories repeat items: each distinct item is embedded once.
            liked, place = rows.history[real].unique(return_inverse=True)
            history = F.embedding(place, self.item_vectors(liked))
        return Embedded(weights, torch.cat([user, item, moment], 1), item.flatten(1), history, real)

    def item_vectors(self, items: Tensor) -> Tensor:
        """(n, i * d) concatenated vectors of the fields of items (n,)."""
        assert self.vectors is not None
        single = F.embedding(self.item_codes[items], self.vectors)
        lists = (_means(values, self.vectors)[:, None] for values in self._lists(items))
        return torch.cat([single, *lists], 1).flatten(1)

    def _lists(self, items: Tensor) -> list[Tensor]:
        return [getattr(self, f"list_{number}")[items] for number in range(self.n_lists)]


def _means(codes: Tensor, table: Tensor) -> Tensor:
    """(n, d) means of the rows of a table (.., d) at codes (n, k), padding excluded."""
    return F.embedding_bag(codes, table, mode="mean", padding_idx=PADDING)
