"""Evidence about items in the train side: interaction counts, text vectors, and item-item similarity by users.

All of it comes from train interactions and the catalogue's texts. An item without train interactions is no target
unless `unseen` is set: in a study such an item has held-out interactions only, which an agent must not learn.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ...recsys.data import Dataset
from ...recsys.data.dataset import Floats, Longs
from ...recsys.data.groups import HeadConfig, head_of
from ...recsys.models.itemknn import ItemKNN, ItemKNNConfig
from ..catalogue import has_text
from ..fusion import GENERATED
from ..memory.memory import Embedder

NEIGHBOURS = 50
"""Items kept as alike to each item, by the cosine over users; our own value."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ItemEvidence:
    """counts: (n_items,) interactions. tail: (n_items,) true where evidence lacks. known: (n_items,) true for items
    with a text that may be shown or proposed. vectors: (n_items, d) of the texts, unit rows, 0 without text.
    alike: (n_items, n_items) cosine of items by the users they share, at most NEIGHBOURS a row, none with itself."""

    counts: Longs
    tail: Bools
    known: Bools
    vectors: Floats
    alike: csr_matrix

    @cached_property
    def need(self) -> Floats:
        """(n_items,) in [0, 1]: 0 for head items, 1 for a tail item without any interaction, falling to the border."""
        border = int(self.counts[self.tail].max(initial=0)) + 1
        return np.asarray(np.where(self.tail, 1 - self.counts / border, 0), np.float32)

    def by_content(self, recent: npt.NDArray[np.integer]) -> Floats:
        """(n_items,) cosine, at least 0, of each item's text with the mean of `recent` (k,) items' texts."""
        mean = self.vectors[recent].mean(0)
        length = float(np.linalg.norm(mean))
        return np.asarray(np.clip(self.vectors @ (mean / length if length else mean), 0, 1), np.float32)

    def by_neighbours(self, recent: npt.NDArray[np.integer]) -> Floats:
        """(n_items,) in [0, 1]: the mean of how alike each item is to the `recent` (k,) ones, by shared users."""
        if not len(recent):
            return np.zeros(len(self.counts), np.float32)
        return np.asarray(self.alike[recent].sum(0).ravel() / len(recent), np.float32).ravel()

    def fit(self, recent: npt.NDArray[np.integer], content: float) -> Floats:
        """(n_items,) how plausible each item is after `recent`: the two above, content having this share of 1."""
        fit = content * self.by_content(recent) + (1 - content) * self.by_neighbours(recent)
        return np.asarray(fit, np.float32)


def evidence_of(
    data: Dataset,
    embed: Embedder,
    texts: dict[int, str],
    head: HeadConfig,
    *,
    unseen: bool = False,
    counts: Longs | None = None,
) -> ItemEvidence:
    """The evidence in the train side `data`. `counts` where `data` is a sample of a larger log; `unseen` lets items
    without any interaction be targets."""
    counts = data.item_counts if counts is None else counts
    knn = ItemKNN(ItemKNNConfig(weighting="cosine", neighbours=NEIGHBOURS + 1, neighbours_of="history"))
    knn.fit(data)
    alike = csr_matrix(knn.similarity)
    alike.setdiag(0)
    alike.eliminate_zeros()
    alike.sort_indices()
    tail = ~head_of(counts, head)
    worded = has_text(data)
    known = worded if unseen else worded & (counts > 0)
    vectors = np.ascontiguousarray(embed([texts[item] for item in range(data.n_items)]), np.float32)
    vectors[~worded] = 0
    return ItemEvidence(counts, tail, known, vectors, alike)


def recent_of(data: Dataset, user: int, length: int, worded: Bools) -> npt.NDArray[np.int32]:
    """The last `length` items of a user that have a text, oldest first, agents' own additions left out.

    worded: (n_items,) `has_text`.
    """
    rows = slice(data.indptr[user], data.indptr[user + 1])
    items = data.item[rows]
    if "origin" in data.interactions:
        items = items[data.interactions["origin"].to_numpy()[rows] != GENERATED]
    return items[worded[items]][-length:]


def stable_seed(ident: object) -> int:
    """A 32-bit seed of an id, the same on every machine and in every part of a log."""
    return zlib.crc32(str(ident).encode(errors="replace"))
