"""Initial embeddings from agents' text vectors: their principal components, scaled to the random initialisation.

LLMInit (Zhang et al. 2025) and LLM-ESR (Liu et al. 2024) initialise ID embeddings from selected or projected dimensions
of language-model vectors and then train them as usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ..data.dataset import Dataset, Floats


@dataclass(frozen=True, slots=True)
class Axes:
    """The principal axes of a table of vectors. mean (d,), directions (d, size), largest variance first."""

    mean: Floats
    directions: Floats

    @classmethod
    def of(cls, vectors: Floats, size: int) -> Axes:
        """At most `size` axes of the non-zero rows of `vectors` (n, d); a row of zeros means that there is no vector.

        The largest component of an axis is positive, so equal vectors give equal axes on every machine.
        """
        known = vectors[vectors.any(1)].astype(np.float64)
        mean = known.mean(0) if len(known) else np.zeros(vectors.shape[1])
        spread, directions = np.linalg.eigh((known - mean).T @ (known - mean))
        size = int(min(size, (spread > 1e-9 * max(spread.max(initial=0.0), 1e-30)).sum()))
        directions = directions[:, ::-1][:, :size]
        largest = np.abs(directions).argmax(0)
        directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
        return cls(mean.astype(np.float32), directions.astype(np.float32))


def start_from(table: Tensor, vectors: Floats, axes: Axes) -> None:
    """Overwrites the rows of an embedding table (n, size) that have a vector (n, d), keeping the table's scale.

    Rows without a vector, and columns beyond the number of axes, keep their random values.
    """
    if len(vectors) != len(table):
        raise DataError(f"{len(vectors)} initial vectors for {len(table)} rows; give one vector a row, in code order")
    known = np.flatnonzero(vectors.any(1))
    projected = (vectors[known] - axes.mean) @ axes.directions
    scale = projected.std() if projected.size else 0.0
    if scale == 0:
        return
    with torch.no_grad():
        rows = torch.as_tensor(projected * (float(table.std()) / scale), dtype=table.dtype, device=table.device)
        table[torch.as_tensor(known, device=table.device), : rows.shape[1]] = rows


def start_together(users: Tensor, items: Tensor, data: Dataset) -> None:
    """Initialises two embedding tables (n, size) from the data's vectors, where it has them.

    User and item vectors of equal length are assumed to be of one space: they share the items' axes, so that the
    product of two initial embeddings follows the product of the two text vectors.
    """
    size = items.shape[1]
    axes = Axes.of(data.item_vectors, size) if data.item_vectors is not None else None
    if data.item_vectors is not None and axes is not None:
        start_from(items, data.item_vectors, axes)
    if data.user_vectors is not None:
        shared = axes is not None and len(axes.mean) == data.user_vectors.shape[1]
        start_from(users, data.user_vectors, axes if axes is not None and shared else Axes.of(data.user_vectors, size))
