"""One owner's memos in process: what every memory scores, and how.

score = similarity * cos + recency * 0.5 ** (age / half_life) + importance * i

It is the sum of Park et al. 2023 ("Generative Agents", section 4.1). They stretch each term to 0..1 over the
candidates; here the terms keep their own scale, so that a memo's score does not depend on what else is
remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .memory import Embedder, Kind, Memo
from .weights import RecallWeights

Vectors = npt.NDArray[np.float32]


def key(memo: Memo) -> str:
    """The memo's name: equal for a memo and its rewriting; the separator stands in no id, so no two names meet."""
    parts = [memo.owner, memo.kind, str(memo.round), str(memo.step), memo.source]
    return "\x1f".join([*parts, str(memo.part)] if memo.part else parts)


def storable(memo: Memo) -> Memo:
    """The memo with lone surrogates replaced by `?`: JSON replies can hold them, no file or wire can."""
    if memo.text.isascii():
        return memo
    text = memo.text.encode("utf-8", "replace").decode("utf-8")
    return memo if text == memo.text else replace(memo, text=text)


@dataclass(frozen=True, slots=True)
class _Table:
    """The memos as columns, in the order of the shelf."""

    memos: tuple[Memo, ...]
    vectors: Vectors
    step: npt.NDArray[np.float64]
    round: npt.NDArray[np.float64]
    importance: npt.NDArray[np.float64]
    kind: npt.NDArray[np.str_]


class OwnerMemos:
    """The memos of one owner by key, with their vectors; a memo put again replaces the one before."""

    __slots__ = ("_memos", "_table", "_vectors")

    def __init__(self) -> None:
        self._memos: dict[str, Memo] = {}
        self._vectors: dict[str, Vectors] = {}
        self._table: _Table | None = None

    def put(self, memo: Memo, vector: Vectors | None = None) -> None:
        """Keep it; without a vector, its text is embedded when it is first scored."""
        name = key(memo)
        self._memos[name] = memo
        self._vectors.pop(name, None)
        if vector is not None:
            self._vectors[name] = np.asarray(vector, dtype=np.float32)
        self._table = None

    def versions(self, kind: Kind) -> list[Memo]:
        """All of one kind, oldest first."""
        return sorted((m for m in self._memos.values() if m.kind == kind), key=lambda m: (m.step, m.round, m.part))

    def vectors(self, embed: Embedder) -> tuple[Sequence[Memo], Vectors]:
        """The memos and their vectors, row for row."""
        table = self._columns(embed)
        return table.memos, table.vectors

    def best(
        self, query: Vectors, k: int, *, now: int, kinds: Sequence[Kind], weights: RecallWeights, embed: Embedder
    ) -> list[Memo]:
        """The k memos of highest score for `query` (d,), best first; of equals the later one.

        Age is `now - step`; memos of a later step are the future and are not recalled, nor are forgotten ones.
        """
        if not self._memos or k < 1:
            return []
        table = self._columns(embed)
        age = np.maximum(now - table.step, 0.0)
        recency = 0.5 ** (age / weights.half_life)
        past = (table.step <= now) & (table.importance * recency >= weights.forget_below)
        score = (
            weights.similarity * (table.vectors @ query).astype(np.float64)
            + weights.recency * recency
            + weights.importance * table.importance
        )
        # Sums of floats differ in the last bits with the number of rows and after a trip to disk; equal memos must not.
        score = score.round(5)
        order = np.lexsort((table.kind, -table.round, -table.step, -score))
        order = order[past[order]]
        if kinds:
            order = order[np.isin(table.kind[order], kinds)]
        return [table.memos[at] for at in order[:k]]

    def _columns(self, embed: Embedder) -> _Table:
        if self._table is None:
            missing = [name for name in self._memos if name not in self._vectors]
            if missing:
                rows = embed([self._memos[name].text for name in missing])
                self._vectors.update(zip(missing, rows, strict=True))
            memos = tuple(self._memos.values())
            self._table = _Table(
                memos,
                np.stack([self._vectors[name] for name in self._memos]),
                np.array([m.step for m in memos], dtype=np.float64),
                np.array([m.round for m in memos], dtype=np.float64),
                np.array([m.importance for m in memos], dtype=np.float64),
                np.array([m.kind for m in memos], dtype=np.str_),
            )
        return self._table
