"""Settings of the pair scorer: which pairs it scores, how it prompts, and the pairs made from its scores."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from ...recsys.data.groups import ColdConfig


class Coverage(BaseModel):
    """Which pairs are scored: a base list per user, and extra pairs of cold users and of tail items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["popularity", "retriever", "mixed"] = "mixed"
    """popularity: sampled from the `pool` most popular items (as S-LLMR); retriever: top items of an item-item
    neighbour model; mixed: half of each. Items of the user's train history are excluded."""
    candidates: int = Field(20, ge=2)
    """N: items scored per user."""
    pool: PositiveInt = 200
    """M: number of most popular items to sample from."""
    users: PositiveInt | None = None
    """Number of users to score for, sampled by the seed; null: all with a train interaction."""
    diverse: NonNegativeInt = 0
    """Extra items per cold user, of as many different categories as possible."""
    cold: ColdConfig = ColdConfig(by="count", value=3)
    """Definition of cold users (S-LLMR: a history of 3 or fewer)."""
    tail_users: NonNegativeInt = 0
    """Users sampled for each tail item."""
    tail: float = Field(0.1, ge=0, le=1)
    """Tail items: this share of the items in train, the least popular (S-LLMR: the lowest 10 %)."""


class ScorePairs(BaseModel):
    """An LLM scores candidates once, offline, after S-LLMR (arXiv 2512.21526); what the paper leaves open is ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: PositiveInt = 10
    """L: number of last interactions in the prompt (S-LLMR: 10)."""
    coverage: Coverage = Coverage()
    list_size: int = Field(20, ge=2)
    """Largest number of candidates per call; a user's candidates are split into lists of about equal size."""
    draws: PositiveInt = 2
    """Number of times that each list is scored, each in another order. With 1 the agreement is unknown."""
    most_draws: PositiveInt = 3
    """Largest number of times that a list is scored if draws disagree."""
    stable: float = Field(0.5, ge=-1, le=1)
    """Smallest mean Kendall tau of the draws' rankings that counts as agreement; with at least two draws."""
    pairs: PositiveInt = 10
    """For models that accept preference pairs but no scores: largest number of pairs per user, widest gaps first."""
    pair_gap: float = Field(0.1, gt=0, le=1)
    """Smallest difference of the two scores of such a pair."""

    @model_validator(mode="after")
    def _draws_in_order(self) -> ScorePairs:
        if self.most_draws < self.draws:
            raise ValueError(f"most_draws ({self.most_draws}) are fewer than draws ({self.draws})")
        return self
