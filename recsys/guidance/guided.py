"""`Guided`: a network, recloop's or a plug-in, trained with the guidance term; by name `guided`."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..models.network import NetworkModel
from ..models.recommender import FitContext
from ..models.wrapper import WrapperConfig
from ..training.checkpoints import Arrays
from ..training.loop import fit
from ..training.progress import TrainingLog
from ..training.space import Range, Space
from .gates import Gate
from .loss_term import GuidanceConfig, GuidanceTerm
from .scores import PairScores
from .term import Guidance

OFFERED_BY_BASE = ("item_vectors", "user_vectors", "item_bias", "predict", "threshold")
"""Capabilities that a guided model has if its inner recommender has them."""


class GuidedConfig(GuidanceConfig, WrapperConfig):
    model: str = "bpr"
    """The recommender to guide, which must be a network."""

    space: ClassVar[Space] = {"weight": Range(0.01, 3.0, log=True), "margin": Range(0.1, 3.0, log=True)}

    def check(self, train: Dataset | None = None) -> None:
        GuidanceTerm(self).check(train)
        super().check(train)


class Guided:
    """The recommender `config.model`, trained with guidance; scoring needs neither gate nor LLM scores.

    Without LLM scores it is trained like the inner recommender.
    """

    name: ClassVar[str] = "guided"
    accepts: frozenset[str] = frozenset({"weights", "pairs", "item_vectors", "user_vectors", "scores"})
    Config: ClassVar[type[GuidedConfig]] = GuidedConfig

    def __init__(self, config: GuidedConfig | None = None, scores: PairScores | None = None) -> None:
        """scores: used instead of `config.scores` and of those in the data. Raises ConfigError for a model that is no
        network."""
        self.config = config or GuidedConfig()
        base: object = self.config.inner()
        if not isinstance(base, NetworkModel):
            raise ConfigError(
                f"model {self.config.model!r} takes no preference pairs and cannot be guided; take a network"
            )
        self.base: NetworkModel[Any, Any] = base
        self.accepts = base.accepts | {"scores"}
        for capability in OFFERED_BY_BASE:
            if hasattr(base, capability):
                setattr(self, capability, getattr(base, capability))
        self.scores = scores
        self.term = GuidanceTerm(self.config, scores)

    @property
    def log(self) -> TrainingLog | None:
        return self.base.log

    @property
    def guidance(self) -> Guidance | None:
        """The guidance of the last fit; None without scores."""
        return self.term.guidance

    @property
    def gate(self) -> Gate | None:
        """The trained gate; None without scores."""
        return self.term.gate

    def fit(
        self,
        train: Dataset,
        valid: Dataset | None = None,
        context: FitContext = FitContext(),
        truth: Dataset | None = None,
    ) -> None:
        """Fits the inner recommender with the guidance term.

        truth: interactions that a `held_out` gate is fitted to. Without it the gate gets the share `gate_users` of the
        validation users, who then take no part in early stopping. Raises ConfigError if `held_out` has neither, and
        DataError if it has no pair to be fitted to.
        """
        self.term = GuidanceTerm(self.config, self.scores, truth)
        terms = [self.term, *self.base.loss_terms()]
        self.base.network, self.base.log = fit(self.base, train, valid, context, terms)

    def score(self, users: Ints, history: Dataset) -> Floats:
        return self.base.score(users, history)

    def state(self) -> Arrays:
        return self.base.state()

    def restore(self, state: Arrays) -> None:
        self.base.restore(state)

    def gate_log(self) -> pd.DataFrame:
        """See `GuidanceTerm.gate_log`."""
        return self.term.gate_log()
