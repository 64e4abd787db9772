"""What the nodes of the set-wise machine share and pass on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from ..chat.types import Sampling
from ..memory.memory import Kind, Memo
from .claims import Claim, Dropped
from .config import Setwise
from .partition import Judged

NAME = "setwise"
RECALLED: tuple[Kind, ...] = ("reflection", "evidence")
"""Memos that become notes; claims stand in the profile anyway."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node of one machine shares."""

    config: Setwise = Setwise()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    seed: int = 0
    """Of the sets that are dealt anew."""


class Step(TypedDict):
    """One walk through a user's train history: the item chosen then, among others."""

    positive: int
    """Its place in `candidates`."""
    candidates: list[int]
    """Item codes, shuffled."""


class Past(TypedDict):
    """A step that was walked: what it takes to judge again the sets that held the item chosen."""

    step: int
    sets: list[tuple[int, ...]]
    """Positions, in another order than they were shown in."""
    notes: list[str]


class Replayed(TypedDict):
    """Mismatches of earlier steps, judged again; the three lists go together."""

    steps: list[int]
    before: list[float]
    """With what was accepted."""
    after: list[float]
    """With the draft."""


class State(TypedDict, total=False):
    """What the nodes pass on. `claims` and `semantics` are what was accepted; the drafts are on trial."""

    user: int
    seed_history: list[int]
    steps: list[Step]
    facts: dict[int, str]
    """Item code -> its facts as text: title, categories, description."""
    first_claims: tuple[Claim, ...]
    first_dropped: tuple[Dropped, ...]
    first_crowded: tuple[Claim, ...]
    claims: tuple[Claim, ...]
    """The profile, strongest first."""
    draft_claims: tuple[Claim, ...]
    dropped: tuple[Dropped, ...]
    """Of the draft: claims without evidence."""
    crowded: tuple[Claim, ...]
    """Of the draft: claims that there was no room for."""
    forgotten: list[Claim]
    """In this step and all before."""
    semantics: dict[int, str]
    """Only items whose description was rewritten."""
    draft_semantics: dict[int, str]
    versions: dict[int, tuple[str, ...]]
    """Every description accepted of an item, oldest first."""
    settled: frozenset[int]
    """Items whose description swung between two texts; it is not rewritten any more."""
    draft_settled: frozenset[int]
    lesson: str
    step: int
    round: int
    notes: list[str]
    fresh: list[Judged]
    """The sets as judged with the drafts."""
    judged: list[Judged]
    """The sets as judged with what was accepted."""
    best: float
    """Mismatch of what was accepted at this step."""
    kept: bool
    past: list[Past]
    known: dict[int, float]
    """Step -> mismatch of its sets judged again with what is accepted now; only what was asked for."""
    replayed: Replayed | None
    memos: list[Memo]
    """Everything remembered in this walk."""
    trace: list[dict[str, Any]]
    payload: dict[str, Any]
