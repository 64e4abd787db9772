"""Settings of the pair scorer: whom and what it covers, how it asks, what its scores become."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from ...recsys.data.groups import ColdConfig


class Coverage(BaseModel):
    """Which pairs are scored: a base list for each user, and two sets for where a recommender knows least."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["popularity", "retriever", "mixed"] = "mixed"
    """popularity: drawn from the `pool` most popular items (S-LLMR's way); retriever: what an item-item neighbour model
    puts first; mixed: half of each. Never what the user has in train."""
    candidates: int = Field(20, ge=2)
    """N: items scored of each user."""
    pool: PositiveInt = 200
    """M: the most popular items that are drawn from."""
    users: PositiveInt | None = None
    """Score for this many users, drawn by the seed; null: for all with a train interaction."""
    diverse: NonNegativeInt = 0
    """Further items for each cold user, of as many different categories as there are."""
    cold: ColdConfig = ColdConfig(by="count", value=3)
    """Who is cold (S-LLMR: a history of 3 or fewer)."""
    tail_users: NonNegativeInt = 0
    """Users drawn for each tail item."""
    tail: float = Field(0.1, ge=0, le=1)
    """Tail items: this share of the items that train has, the least popular (S-LLMR: the lowest 10 %)."""


class ScorePairs(BaseModel):
    """An LLM scores candidates once, offline, after S-LLMR (arXiv 2512.21526); what that leaves open is our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: PositiveInt = 10
    """L: last interactions shown (S-LLMR: 10)."""
    coverage: Coverage = Coverage()
    list_size: int = Field(20, ge=2)
    """Most candidates put before the model in one call; a user's are dealt into lists of like size."""
    draws: PositiveInt = 2
    """Times each list is scored, each time in another order. With 1 nothing tells whether it would be said again."""
    most_draws: PositiveInt = 3
    """Times it is scored where the draws disagree."""
    stable: float = Field(0.5, ge=-1, le=1)
    """Mean Kendall tau of the draws' rankings from which they agree; looked at where there are two draws or more."""
    pairs: PositiveInt = 10
    """For models that take preference pairs and hear no scores: most pairs of a user, the widest gap first."""
    pair_gap: float = Field(0.1, gt=0, le=1)
    """Least difference of two scores that makes such a pair."""

    @model_validator(mode="after")
    def _draws_in_order(self) -> ScorePairs:
        if self.most_draws < self.draws:
            raise ValueError(f"most_draws ({self.most_draws}) are fewer than draws ({self.draws})")
        return self
