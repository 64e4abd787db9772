"""What an agent remembers: profile versions, claims, reflections and evidence, each owned by one user or item.

Recall weighs similarity, recency and importance, within one owner (the sum of Park et al. 2023, "Generative Agents",
section 4.1; the weights are our own).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from .weights import RecallWeights

Kind = Literal["profile", "claim", "reflection", "evidence", "semantics"]


@dataclass(frozen=True, slots=True)
class Memo:
    """One thing remembered.

    Equal `owner`, `kind`, `round`, `step`, `part` and `source` make the same memo: writing it again replaces it.
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
    part: int = 0
    """Which of several of one kind, round and step."""
    evidence: tuple[str, ...] = ()
    """What it rests on: `item:204`, taken, or `-item:31`, passed over."""

    def __post_init__(self) -> None:
        """DataError where nobody owns the memo or its importance would spoil every score."""
        if not self.owner:
            raise DataError("a memo has no owner: give it one such as 'user:17'")
        if not 0.0 <= self.importance <= 1.0:
            raise DataError(f"memo of {self.owner}: importance {self.importance} is not within 0..1")

    @property
    def side(self) -> str:
        """What kind of thing owns it: the owner's part before the colon, `user` or `item`."""
        return self.owner.partition(":")[0]


Field = Literal["owner", "side", "kind", "round", "step", "source"]
"""What a search over all owners can be narrowed by."""


def holds(memo: Memo, where: Mapping[Field, str | int]) -> bool:
    """Whether every named field of the memo has the value asked for."""
    return all(getattr(memo, field) == value for field, value in where.items())


class Found(NamedTuple):
    """One hit of a search over all owners."""

    memo: Memo
    similarity: float
    """Cosine of memo and question, -1 to 1."""


class Memory(Protocol):
    """The contract of every memory; `tests/agents/memory_contract.py` holds its tests."""

    def remember(self, memos: Sequence[Memo]) -> None:
        """Keep these; batched, durable after `flush`."""

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
        """The k memos of `owner` that matter most for the text `about` at the owner's time `now`, best first.

        weights: what matters, where it differs from the memory's own. Memos of a later step are not recalled: what a
        killed attempt has left behind must not be read by the next one.
        """

    def flush(self) -> None:
        """Write what is still buffered."""


class Archive(Memory, Protocol):
    """A memory that can also be looked through; the memories of this package all can."""

    def versions(self, owner: str, kind: Kind) -> list[Memo]:
        """Every memo of one kind, oldest first: the history of a profile."""

    def nearest(self, text: str, k: int, where: Mapping[Field, str | int] | None = None) -> list[Found]:
        """The k memos of any owner most similar to `text`, best first; none for a text without a known word."""

    def close(self) -> None:
        """Flush, and let go of files and connections."""


class Embedder(Protocol):
    """Texts to vectors, supplied by us everywhere: nothing is downloaded at run time unless configured."""

    name: str
    """Identifies the vector space: model and what it was fitted on."""

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), d) unit rows; a text without any known word is a zero row."""
