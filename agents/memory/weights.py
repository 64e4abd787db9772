"""`RecallWeights`: what makes a memo worth recalling, and when it is forgotten."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat


class RecallWeights(BaseModel):
    """How much each of the three reasons to recall a memo counts; the values are our own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity: NonNegativeFloat = 1.0
    """Of the cosine of memo and question, -1 to 1."""
    recency: NonNegativeFloat = 0.5
    """Of 0.5 ** (age / half_life), 0 to 1."""
    importance: NonNegativeFloat = 0.5
    """Of the memo's own importance, 0 to 1."""
    half_life: PositiveFloat = 10.0
    """Steps of the owner's clock after which recency is halved."""
    forget_below: float = Field(0.0, ge=0, lt=1)
    """Memos whose importance * 0.5 ** (age / half_life) is below this are not recalled, however alike; 0: all are."""
