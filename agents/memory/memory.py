"""What an agent remembers: profile versions, reflections and evidence, each owned by one user or item.

Recall weighs similarity, recency and importance, within one owner (the sum of Park et al. 2023, "Generative Agents",
section 4.1; the weights are our own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Kind = Literal["profile", "reflection", "evidence", "semantics"]


@dataclass(frozen=True, slots=True)
class Memo:
    """One thing remembered.

    Equal `owner`, `kind`, `round` and `step` make the same memo: writing it again replaces it.
    """

    owner: str
    """`user:17` or `item:204`."""
    kind: Kind
    text: str
    round: int = 0
    """Version: how many rewrites came before it."""
    step: int = 0
    """The owner's own clock: the position in the user's history it speaks of."""
    importance: float = 0.5
    """0 (trivial) to 1."""
    source: str = ""
    """Key of the task that wrote it."""


class Memory(Protocol):
    """The contract of every memory; `tests/agents/memory_contract.py` holds its tests."""

    def remember(self, memos: Sequence[Memo]) -> None:
        """Keep these; batched, durable after `flush`."""

    def recall(self, owner: str, about: str, k: int, *, now: int, kinds: Sequence[Kind] = ()) -> list[Memo]:
        """The k memos of `owner` that matter most for the text `about` at the owner's time `now`, best first."""

    def flush(self) -> None:
        """Write what is still buffered."""


class Embedder(Protocol):
    """Texts to vectors, supplied by us everywhere: nothing is downloaded at run time unless configured."""

    name: str
    """Identifies the vector space: model and what it was fitted on."""

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), d) unit rows; a text without any known word is a zero row."""
