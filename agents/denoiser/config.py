"""Settings of the denoiser: how doubt arises, what stands in its way, and what becomes of a row that is doubted."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class Vote(BaseModel):
    """What collaborative evidence adds to the model's doubt: how seldom others hold the item together with its context.

    An item's vote is the share of all rows that fit their context better, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(0.5, ge=0, le=1)
    """Of the vote in the score; the rest is the model's doubt. Another value than this only by validation."""
    shrink: float = Field(5.0, ge=0)
    """Added to counts before a cosine is taken, so that what few hold is near to nothing."""


class Guards(BaseModel):
    """What is not edited although it is doubted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cold: int = Field(2, ge=0)
    """An item that fewer others hold is cold: no vote is counted against it, for it could not have fitted."""
    cold_doubt: float = Field(0.9, ge=0, le=1)
    """Doubt of the model that a cold item needs."""
    recent: int = Field(3, ge=0)
    """Newest items of a sequence among which a new interest may begin: one of them that is nearer to another of them
    than to anything before stays. 0 turns this off."""
    budget: float = Field(0.2, ge=0, le=1)
    """Largest share of a sequence that may be edited, the highest scores first, a cold item's as if its vote were one
    half; at least one row, 0 edits nothing."""


class HardSamples(BaseModel):
    """Which rows are asked about at all, by their losses in training (LLMHD, arXiv 2409.10343; all values our own)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(6, ge=2)
    """Of LightGCN, whose losses are watched."""
    high: float = Field(0.2, gt=0, le=1)
    """Share of rows, of the highest loss, that is suspected."""
    vary: float = Field(0.5, gt=0, le=1)
    """Share of the suspected, of the largest variance, that is asked about; the others stay."""
    last: int = Field(3, ge=2)
    """Newest epochs over which both are taken."""
    keep_from: int = Field(6, ge=1, le=10)
    """Rating from which an item is hard and kept (LLMHD: 8 falling to 6)."""
    flagged_epochs: PositiveInt = 3
    """Epochs of high loss after which an item changes the profile (LLMHD: 3 to 9)."""
    words: PositiveInt = 120
    """Longest profile."""


class Denoise(BaseModel):
    """Find what does not belong, then remove, replace or down-weight it.

    After LLM4DSR (arXiv 2408.08208), which tunes a model to answer "noise item, suggested replacement", and LLMHD. What
    is said to be theirs is theirs; every other value is our own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["review", "likelihood", "hard_samples"] = "review"
    """review: any chat model gives each item a doubt; likelihood: log-probabilities of titles (a local model or a
    server that gives them); hard_samples: only rows of high and changing loss are asked about, against a profile."""
    question: Literal["review", "find", "judge", "next"] = "review"
    """likelihood: what is asked. review: the words of the review, of any model. The others are those that `tune-lm` has
    taught a model, over titles alone: which title does not belong (find), Yes or No to each item by the others (judge),
    how much likelier the others make a title as what comes next (next)."""
    token: Literal["whole", "first"] = "whole"
    """likelihood: the whole title, length-normalised, or LLM4DSR's first token, which some titles share."""
    window: int = Field(11, ge=3)
    """Most items judged in one call (LLM4DSR: 11); longer sequences are cut into even stretches."""
    least: int = Field(4, ge=3)
    """Sequences with fewer items are left alone: nothing could be shared."""
    users: PositiveInt | None = None
    """Judge this many users, drawn by the seed; null: all."""
    threshold: float = Field(0.75, ge=0, le=1)
    """Score (doubt and vote) from which an item is taken for noise. Under likelihood doubts are probabilities of
    tokens, far below 1: choose this, and guards.cold_doubt, by validation."""
    vote: Vote = Vote()
    guards: Guards = Guards()
    action: Literal["remove", "replace", "weight"] = "remove"
    """remove: weight 0, which models that take weights read as absent; replace: by a candidate that the model names and
    a second review accepts, else the row stays; weight: it counts `weight` of what it did."""
    weight: float = Field(0.5, gt=0, lt=1)
    """What `weight` leaves of a row's weight."""
    candidates: int = Field(8, ge=2)
    """replace: items that a retriever offers for each place."""
    hard: HardSamples = HardSamples()

    @model_validator(mode="after")
    def _one_scale(self) -> Denoise:
        if self.mode == "hard_samples" and self.action == "replace":
            raise ValueError("action replace needs mode review or likelihood: a rating cannot be held against a review")
        if self.question != "review" and self.mode != "likelihood":
            raise ValueError(f"question {self.question} needs mode likelihood: only there are probabilities asked for")
        return self
