"""`ListMemory`: the memory of runs that want none on disk, exact, and the yardstick of the others in tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from threading import RLock

import numpy as np

from .memory import Embedder, Field, Found, Kind, Memo, holds
from .owner_memos import OwnerMemos, storable
from .weights import RecallWeights


class ListMemory:
    """Everything in process, scored exactly; gone with the process, `flush` has nothing to do."""

    def __init__(self, embed: Embedder, *, weights: RecallWeights | None = None) -> None:
        self._embed = embed
        self._weights = weights or RecallWeights()
        self._shelves: defaultdict[str, OwnerMemos] = defaultdict(OwnerMemos)
        self._lock = RLock()  # LangGraph runs plain nodes on threads

    def remember(self, memos: Sequence[Memo]) -> None:
        with self._lock:
            for memo in memos:
                self._shelves[memo.owner].put(storable(memo))

    def recall(
        self,
        owner: str,
        about: str,
        k: int,
        *,
        now: int,
        kinds: Sequence[Kind] = (),
        weights: RecallWeights | None = None,
    ) -> list[Memo]:
        query = self._embed([about])[0]
        with self._lock:
            shelf = self._shelves.get(owner)
            if shelf is None:
                return []
            return shelf.best(query, k, now=now, kinds=kinds, weights=weights or self._weights, embed=self._embed)

    def anew(self) -> ListMemory:
        """An empty one that embeds and weighs alike."""
        return ListMemory(self._embed, weights=self._weights)

    def flush(self) -> None:
        pass

    def versions(self, owner: str, kind: Kind) -> list[Memo]:
        """Every memo of one kind, oldest first: the history of a profile."""
        with self._lock:
            shelf = self._shelves.get(owner)
            return shelf.versions(kind) if shelf is not None else []

    def nearest(self, text: str, k: int, where: Mapping[Field, str | int] | None = None) -> list[Found]:
        """The k memos of any owner most similar to `text`, best first; none for a text without a known word."""
        query = self._embed([text])[0]
        if not query.any() or k < 1:
            return []
        hits: list[Found] = []
        with self._lock:
            for shelf in self._shelves.values():
                memos, vectors = shelf.vectors(self._embed)
                similarity = np.clip(vectors @ query, -1.0, 1.0)
                hits += [Found(m, float(s)) for m, s in zip(memos, similarity, strict=True) if holds(m, where or {})]
        return sorted(hits, key=lambda hit: -hit.similarity)[:k]

    def close(self) -> None:
        pass
