"""`similar`: nearest neighbours of items, by a model's item vectors or item-to-item weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import ConfigError
from ..data.dataset import Floats, Ints, Longs
from ..evaluation.ranking import BLOCK_SCORES, Scores, place
from ..models.capabilities import Embedding, ItemWeights
from .folder import Trained, open_folder
from .ids import codes_of

COLUMNS = ("item_id", "title", "rank", "similar_id", "similar_title", "score")


def similar(model: Trained | Path | str, items: Sequence[object], k: int = 10) -> pd.DataFrame:
    """A row per neighbour (`COLUMNS`): items in the given order, ranks 1..k within each.

    model: a folder written by `recloop train`; no data is read. items: the data's own ids. score: see `nearest`.
    Raises DataError for an unknown id, naming similar ones; ConfigError for a model without vectors or weights.
    """
    trained = model if isinstance(model, Trained) else open_folder(model)
    codes = codes_of(items, trained.items, "item_id")
    ids, titles = trained.items["item_id"].to_numpy(object), trained.items["title"].to_numpy(object)
    parts = []
    for block_items, neighbours, scores in nearest(trained.model, codes, k):
        row, rank = np.nonzero(neighbours >= 0)
        other = neighbours[row, rank]
        columns = (
            ids[block_items[row]],
            titles[block_items[row]],
            rank + 1,
            ids[other],
            titles[other],
            scores[row, rank].astype(np.float32),
        )
        parts.append(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def nearest(model: Any, items: Ints, k: int = 10, *, block: int | None = None) -> Iterator[tuple[Ints, Longs, Scores]]:
    """Blocks of (items (b,), neighbours (b, k), scores (b, k)), best first; ties by lower code, padded by -1.

    Scores are the weights of a model with item-to-item weights (itemknn, swing, ease), of which only positive ones make
    neighbours, or else the cosine of item vectors. An item is never its own neighbour. Raises ConfigError for a model
    that has neither.
    """
    if k < 1:
        raise ConfigError(f"k={k}; ask for at least one item")
    vectors = None
    if isinstance(model, ItemWeights):
        n_items = model.item_weights(items[:1]).shape[1]
    elif isinstance(model, Embedding):
        vectors = _unit(model.item_vectors())
        n_items = len(vectors)
    else:
        raise ConfigError(
            f"{model.name}: keeps neither item vectors nor weights from item to item, so it cannot say what is "
            "similar; bpr, lightgcn, ials, sasrec, gru4rec and bert4rec can by their vectors, itemknn, swing and ease "
            "by their weights"
        )
    size = block or max(1, BLOCK_SCORES // n_items)
    nothing = np.empty(0, np.int64)
    for first in range(0, len(items), size):
        here = items[first : first + size]
        if vectors is not None:
            scores = vectors[here] @ vectors.T
        else:
            weights = model.item_weights(here)
            scores = np.where(weights > 0, weights, -np.inf).astype(np.float32)
        scores[np.arange(len(here)), here] = -np.inf
        neighbours = place(scores, nothing, nothing, min(k, n_items), model.name)[2]
        yield (
            here,
            neighbours,
            np.where(neighbours >= 0, np.take_along_axis(scores, np.maximum(neighbours, 0), axis=1), np.nan),
        )


def _unit(vectors: Floats) -> Floats:
    """Rows scaled to norm 1; rows of zeros stay, so that their cosines are 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    values: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return values
