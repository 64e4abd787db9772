"""Settings of the set-wise agent; every ablation of METHODS is a value here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .partition import windows


class Setwise(BaseModel):
    """The loop assess -> validate -> reflect of SRLF (arXiv 2511.11370, abstract). The values are our own choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(10, ge=2, le=200)
    """The true next item and `candidates - 1` others (AgentCF's list has 10)."""
    set_size: int = Field(4, ge=1)
    """Items judged together: 1 point-wise, 2 pair-wise, `candidates` list-wise."""
    stride: int = Field(2, ge=1)
    """Distance between the starts of two sets; `set_size` means no overlap."""
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
    """Keep a rewrite only if the mismatch did not rise; false keeps every rewrite."""
    negatives: Literal["uniform", "popularity"] = "uniform"
    """The others of a candidate list: any item the user has not had, or one of like popularity as the true item."""
    profile_words: int = Field(180, ge=10)
    """AgentCF's cap on a self-introduction."""
    semantics_words: int = Field(50, ge=5)
    """AgentCF's cap on an item's description."""
    notes: int = Field(3, ge=0)
    """Memos recalled for each step; 0 leaves memory unread."""
    users: int | None = Field(None, ge=1)
    """Judge only this many users, drawn at random by the seed; None judges everybody with a long enough history."""

    @model_validator(mode="after")
    def _sets_are_fair(self) -> Setwise:
        windows(self.candidates, self.set_size, self.stride)
        return self
