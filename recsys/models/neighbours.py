"""Inverted index for item-to-item serving: every item's nearest neighbours and their scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import parquet
from scipy.sparse import csr_matrix

from ...atomic import write_whole
from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Floats, Ints, Longs
from ..training.batches import newest
from .capabilities import ItemVectors, ItemWeights

SCORES = 8_000_000
"""Similarities held at once while an index is built: 32 MB."""
COLUMNS = ("item_id", "rank", "neighbour_id", "score")


@dataclass(frozen=True, slots=True)
class InvertedIndex:
    """Neighbours of item j: items[indptr[j]:indptr[j + 1]], best first, and their scores, all above 0."""

    indptr: Longs
    items: Ints
    scores: Floats

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def neighbours(self, item: int) -> tuple[Ints, Floats]:
        """Codes and scores of an item's neighbours, best first; ties by lower code."""
        span = slice(self.indptr[item], self.indptr[item + 1])
        return self.items[span], self.scores[span]

    @property
    def matrix(self) -> csr_matrix:
        """(n_items, n_items) scores, with the neighbours of item j in row j."""
        return csr_matrix((self.scores, self.items, self.indptr), shape=(len(self), len(self)))


def index_of(model: object, k: int, like: Literal["cosine", "dot"] = "cosine") -> InvertedIndex:
    """The best `k` neighbours of every item by a fitted model's weights, or by its item vectors.

    Neighbours have scores above 0; an item is not its own neighbour. like: similarity of vectors. Raises ConfigError
    for a model that has neither weights nor vectors.
    """
    if isinstance(model, ItemWeights):
        n_items = _size(model)
        return _best((model.item_weights(items) for items in _blocks(n_items)), n_items, k)
    if isinstance(model, ItemVectors):
        vectors = np.asarray(model.item_vectors(), np.float32)
        if like == "cosine":
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        n_items = len(vectors)
        return _best((vectors[items] @ vectors.T for items in _blocks(n_items)), n_items, k)
    raise ConfigError(
        f"{getattr(model, 'name', type(model).__name__)} has neither item-to-item weights nor item vectors; "
        "choose itemknn, swing, ease, bpr or youtubednn, or give your class `item_weights` or `item_vectors`"
    )


def queries(users: Ints, history: Dataset, last: int, decay: float = 1.0) -> csr_matrix:
    """(n, n_items) query of each user: the weights of the last `last` interactions.

    The newest has its own weight, each step back multiplies by `decay`; repeated items add up.
    """
    seen = newest(history, users, last, history.n_items)
    real = seen.rows >= 0
    age = real.sum(1, keepdims=True) - 1 - np.arange(seen.rows.shape[1])
    weight = history.weight[seen.rows[real]] * np.float32(decay) ** age[real]
    row = np.nonzero(real)[0]
    shape = len(users), history.n_items
    return csr_matrix((weight.astype(np.float32), (row, seen.items[real])), shape=shape, dtype=np.float32)


def write_index(index: InvertedIndex, items: pd.DataFrame, path: Path) -> None:
    """Writes a Parquet file with a row per neighbour: item_id, rank (from 1), neighbour_id, score; atomic."""
    ids = pa.array(items["item_id"])
    sizes = np.diff(index.indptr)
    table = pa.table(
        {
            "item_id": ids.take(pa.array(np.repeat(np.arange(len(index)), sizes))),
            "rank": pa.array(np.arange(len(index.items)) - np.repeat(index.indptr[:-1], sizes) + 1, pa.int32()),
            "neighbour_id": ids.take(pa.array(index.items)),
            "score": pa.array(index.scores),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: parquet.write_table(table, file, compression="zstd"))


def read_index(path: Path, items: pd.DataFrame) -> InvertedIndex:
    """The index that `write_index` wrote, in the codes of `items`. DataError for a missing column or unknown id."""
    try:
        table = parquet.read_table(path).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not an inverted index ({error}); write it with `write_index`") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path}: an inverted index has the column(s) {', '.join(missing)} too; write it again")
    known = pd.Index(items["item_id"])
    item, neighbour = (known.get_indexer(pd.Index(table[column])) for column in ("item_id", "neighbour_id"))
    for column, codes in (("item_id", item), ("neighbour_id", neighbour)):
        if (codes < 0).any():
            unknown = table[column][codes < 0].iloc[0]
            raise DataError(f"{path}: {column} {unknown!r} is not among the items; make the index anew")
    order = np.lexsort((table["rank"].to_numpy(), item))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(item, minlength=len(known)))]).astype(np.int64)
    scores = table["score"].to_numpy(np.float32)[order]
    return InvertedIndex(indptr, neighbour[order].astype(np.int32), scores)


def _size(model: ItemWeights) -> int:
    return int(model.item_weights(np.zeros(1, np.int32)).shape[1])


def _blocks(n_items: int) -> Iterator[Ints]:
    step = max(1, SCORES // max(n_items, 1))
    for first in range(0, n_items, step):
        yield np.arange(first, min(first + step, n_items), dtype=np.int32)


def _best(blocks: Iterator[Floats], n_items: int, k: int) -> InvertedIndex:
    sizes: list[Longs] = []
    items: list[Ints] = []
    scores: list[Floats] = []
    first = 0
    for given in blocks:
        block = np.array(given, np.float32)
        block[np.arange(len(block)), first + np.arange(len(block))] = 0
        # Only scores of at least the k-th are sorted; ties with it are broken by code.
        cut = torch.topk(torch.from_numpy(block), min(k, n_items), dim=1).values[:, -1:].numpy()
        row, item = np.nonzero((block >= cut) & (block > 0))
        score = block[row, item]
        order = np.lexsort((item, -score, row))
        row, item, score = row[order], item[order], score[order]
        best = np.arange(len(row)) - np.searchsorted(row, row) < k
        sizes.append(np.bincount(row[best], minlength=len(block)).astype(np.int64))
        items.append(item[best].astype(np.int32))
        scores.append(score[best])
        first += len(block)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.empty(0, np.int64), *sizes]))])
    return InvertedIndex(
        indptr, np.concatenate([np.empty(0, np.int32), *items]), np.concatenate([np.empty(0, np.float32), *scores])
    )
