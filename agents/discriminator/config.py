"""Settings of the discriminator: which rows are judged, where confidence comes from, where the cut lies."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from ...recsys.data.groups import HeadConfig
from ..fusion import Fusion

Confidence = Literal["logprobs", "graded", "votes"]


class Cut(BaseModel):
    """The confidence that a generated row needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["quantile", "precision"] = "quantile"
    """quantile: the `value`-quantile of the held-out real rows' confidences; precision: the lowest confidence above
    which that share of the calibration's rows are real."""
    value: float = Field(0.5, ge=0, le=1)
    """Our own default: a generated row must be at least as convincing as the median real one."""
    untested: Literal["nothing", "keep"] = "nothing"
    """What is kept when the confidence tells real rows from random ones no better than chance: nothing on its word
    alone, or, at your own risk, what lies above the cut."""


class Noise(BaseModel):
    """What happens to real rows of low confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["keep", "weight", "remove"] = "weight"
    """keep: nothing; weight: they count less; remove: weight 0, which models that take weights read as absent."""
    quantile: float = Field(0.05, ge=0, le=1)
    """Real rows less sure than this share of the held-out real rows are taken for noise."""
    weight: float = Field(0.5, ge=0, le=1)
    """What `weight` leaves of a row's weight."""


class Discriminate(BaseModel):
    """Real or made up? Judged in sets, yes or no with a confidence, calibrated on real rows of the train side.

    LLM-I2I (arXiv 2512.21595) asks yes or no on a user and an item, learns it from real against random rows, and keeps
    synthetic rows of the highest confidence; its abstract filters real and synthetic data. All values are our own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: tuple[Literal["real", "generated"], ...] = Field(("real", "generated"), min_length=1)
    """Which rows are judged."""
    history: PositiveInt = 10
    """Last real interactions shown of a user, those judged in the same set left out."""
    set_size: PositiveInt = 5
    """Rows judged in one call; 1 judges each alone."""
    real: PositiveInt | None = None
    """Most real rows judged of one user, the newest; null: all."""
    users: PositiveInt | None = None
    """Judge real rows of this many users, drawn by the seed; null: of all. Generated rows are all judged."""
    confidence: Confidence = "logprobs"
    """logprobs: p(yes) / (p(yes) + p(no)) of the answer's token, where the server gives it, else graded; graded: the
    confidence the model states; votes: the share of yes among `votes` answers."""
    votes: int = Field(5, ge=2)
    """Answers to each set, for votes."""
    calibration_users: int = Field(200, ge=2)
    """Users, drawn by the seed, whose held-out real rows are judged beside sampled items. All of it is train side."""
    calibration_rows: PositiveInt = 2
    """Real rows held out of the history shown, and as many items the user never had, of each of these users."""
    negatives: Literal["uniform", "popularity"] = "uniform"
    """The sampled items: any that the train side has, or by how often it has them."""
    calibrator: Literal["isotonic", "platt"] = "isotonic"
    """From stated to true probability: any rising steps, or a logistic curve. Cross-fitted by user."""
    folds: int = Field(5, ge=2)
    """Of the cross-fit."""
    head: HeadConfig = HeadConfig()
    """For the report: acceptance is told apart for head items and the others, the tail."""
    cut: Cut = Cut()
    noise: Noise = Noise()
    fuse: Fusion = Fusion()

    @model_validator(mode="after")
    def _mixed_sets(self) -> Discriminate:
        if self.calibration_users < self.folds:
            raise ValueError(f"calibration_users ({self.calibration_users}) are fewer than the folds ({self.folds})")
        return self
