"""Settings of the set-wise agent; every ablation of METHODS is a value here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..memory.weights import RecallWeights
from ..prompt_call import AgentSetup
from .judgement import MergeBy, windows


class Setwise(BaseModel):
    """The loop assess -> validate -> reflect of SRLF (arXiv 2511.11370, abstract). The values are our own choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(10, ge=2, le=200)
    """The true next item and `candidates - 1` others (AgentCF's list has 10)."""
    set_size: int = Field(5, ge=1)
    """Items judged together: 1 point-wise, 2 pair-wise, `candidates` list-wise."""
    stride: int = Field(5, ge=1)
    """Distance between the starts of two sets; `set_size` means no overlap."""
    dealings: int = Field(1, ge=1, le=8)
    """Partitions judged, each of a fresh order; two without overlap judge each item twice and link what one leaves
    apart."""
    deal: Literal["same", "fresh"] = "fresh"
    """Whether a list judged again after a reflection keeps its sets and their order, or is partitioned anew: then
    handles and neighbours differ from round to round, and sets overlap across rounds."""
    merge: MergeBy = "score"
    """rank: sets are merged by mean rank (Borda); score: by graded scores that fall along each set's ranking, which
    link sets that share no item."""
    walk: int = Field(5, ge=0)
    """How many of a user's last train interactions are walked through (AgentCF trains on 5); 0 writes a
    first profile and nothing else."""
    seed_items: int = Field(10, ge=1)
    """Interactions before the first step that the first profile is written from (AgentCF: 1)."""
    rounds: int = Field(2, ge=0)
    """Most reflections on one step; 0 turns reflection off."""
    tau: float = Field(0.0, ge=0, lt=1)
    """Reflect when the mismatch is above this; 0 reflects on every mistake, as AgentCF does."""
    paths: tuple[Literal["user", "item"], ...] = ("user", "item")
    """Which reflections run: the profile's, the items' semantics', both."""
    acceptance: bool = True
    """Keep a rewrite only if it passes the acceptance test; false keeps every rewrite."""
    held_back: int = Field(5, ge=0, le=20)
    """Acceptance test: most held-back lists for one rewrite, each the true item among `set_size - 1` items (at least 1)
    that the reflection was not shown; two calls a list, with the rewrite and without. 0: only the list reflected upon
    decides, which accepts more than half of all rewrites that have no effect."""
    wins: int = Field(3, ge=1, le=10)
    """Held-back lists that a rewrite must improve before it worsens one. A rewrite without effect passes with at most
    0.5 ** wins."""
    replay: int = Field(0, ge=0)
    """Earlier steps of the user judged again, in reversed order, with the rewrite and without: it is kept only if their
    mean mismatch did not rise either. 0: none."""
    evidence: bool = True
    """Each claim of a profile cites the choices it rests on, and one that cites nothing shown is dropped; false asks
    for claims alone and keeps them all."""
    half_life: float = Field(10.0, gt=0)
    """Choices after which a claim without new evidence is half as strong; the strongest claims are shown first."""
    forget_below: float = Field(0.25, ge=0, lt=1)
    """Claims weaker than this, in [0, 1], are forgotten before each step; 0 forgets nothing. A claim resting on n
    choices starts at 1 - 0.5 ** n, or higher where a mistake made it."""
    settle: bool = True
    """An item whose description goes back to one it had before (A, B, A) gets the version nearest to all
    others for good; false lets it oscillate."""
    negatives: Literal["uniform", "popularity"] = "uniform"
    """The others of a candidate list: any item the user has not had, or one of like popularity as the true item."""
    profile_words: int = Field(180, ge=10)
    """AgentCF's cap on a self-introduction."""
    semantics_words: int = Field(50, ge=5)
    """AgentCF's cap on an item's description."""
    notes: int = Field(3, ge=0)
    """Memos recalled for each step; 0 leaves memory unread."""
    recall: RecallWeights = RecallWeights()
    """What makes a memo worth recalling: likeness, recency, importance."""
    users: int | None = Field(None, ge=1)
    """Judge only this many users, drawn at random by the seed; None judges everybody with a long enough history."""

    @model_validator(mode="after")
    def _consistent(self) -> Setwise:
        windows(self.candidates, self.set_size, self.stride)
        if self.held_back and self.wins > self.held_back:
            raise ValueError(f"wins ({self.wins}) cannot be more than the {self.held_back} held-back lists")
        return self


SetwiseSetup = AgentSetup[Setwise]
"""`seed`: of partitions and held-back lists."""
