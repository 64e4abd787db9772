"""`Guided`: any of recloop's networks, trained with one more term that hears an LLM where it is reliable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from torch import nn

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..models.recommender import FitContext, with_positive_weight
from ..models.wrapper import WrapperConfig
from ..training import loop as training
from ..training.checkpoints import Arrays
from ..training.space import Range, Space
from .gates import Gate
from .scores import PairScores, read_scores
from .selective import Selective
from .term import Guidance
from .truth import apart

AGENT = "score_pairs"
"""Who writes the scores. Preference pairs of whoever has written scores, a control too, are left to the guidance."""

OFFERED_BY_BASE = ("item_vectors", "user_vectors", "item_bias", "predict", "threshold")
"""Capabilities that a guided model has where the recommender inside has them."""


class GuidedConfig(Selective, WrapperConfig):
    model: str = "bpr"
    """The recommender that is guided: one that takes preference pairs."""
    scores: Path | None = None
    """A Parquet file of user_id, item_id, score; null: the scores that an agent has folded into the data, if any."""

    space: ClassVar[Space] = {"weight": Range(0.01, 3.0, log=True), "margin": Range(0.1, 3.0, log=True)}

    @property
    def in_epochs(self) -> bool:
        return True

    def check(self, train: Dataset | None = None) -> None:
        if self.scores is not None and not self.scores.exists():
            raise ConfigError(f"guided: scores {self.scores} do not exist; name a Parquet file of pair scores")
        super().check(train)


class Guided:
    """The recommender `config.model`; in serving it is exactly that, the gate and the scores stay behind in training.

    Without scores it is trained as if it stood alone.
    """

    name: ClassVar[str] = "guided"
    accepts: frozenset[str] = frozenset({"weights", "pairs", "item_vectors", "user_vectors", "scores"})
    Config: ClassVar[type[GuidedConfig]] = GuidedConfig

    def __init__(self, config: GuidedConfig | None = None, scores: PairScores | None = None) -> None:
        """scores: come before those of `config.scores` and the data. Raises ConfigError for a model without pairs."""
        self.config = config or GuidedConfig()
        self.base: Any = self.config.inner()
        if "pairs" not in self.base.accepts:
            raise ConfigError(
                f"model {self.config.model!r} takes no preference pairs and cannot be guided; take a network"
            )
        self.accepts = self.base.accepts | {"scores"}
        for capability in OFFERED_BY_BASE:
            if hasattr(self.base, capability):
                setattr(self, capability, getattr(self.base, capability))
        self.scores = scores
        self.guidance: Guidance | None = None
        self.gate: Gate | None = None

    @property
    def log(self) -> training.Log | None:
        return cast("training.Log | None", self.base.log)

    def fit(
        self,
        train: Dataset,
        valid: Dataset | None = None,
        context: FitContext = FitContext(),
        truth: Dataset | None = None,
    ) -> None:
        """As the recommender's own. `held_out` is fitted to `truth`; without it, `gate_users` of the validation users
        are set apart for the gate and choose nothing.

        Raises ConfigError where `held_out` is given neither, DataError where it finds nothing to test.
        """
        scores = self._scores(train)
        if scores is None:
            self.base.fit(train, valid, context)
            return
        chooses = valid
        if self.config.gate == "held_out" and truth is None:
            if valid is None:
                raise ConfigError(
                    "gate held_out needs a validation side to be fitted to; give one, or take another gate"
                )
            chooses, truth = apart(with_positive_weight(valid), self.config.gate_users, self.config.seed)
        writers = {AGENT, *train.scores["agent"]}
        train = train.with_(pairs=train.pairs[~train.pairs["agent"].isin(writers)])
        self.guidance = Guidance.of(self.config, scores, with_positive_weight(train), truth)
        learner: training.Learner[_Joint] = _Learner(self.base, self.guidance)
        joint, log = training.fit(learner, train, chooses, context)
        self.base.network, self.base.log, self.gate = joint.recommender, log, joint.gate
        self.guidance.end(self.base, joint.recommender, joint.gate, with_positive_weight(train))

    def score(self, users: Ints, history: Dataset) -> Floats:
        return cast(Floats, self.base.score(users, history))

    def state(self) -> Arrays:
        return cast(Arrays, self.base.state())

    def restore(self, state: Arrays) -> None:
        self.base.restore(state)

    def gate_log(self) -> pd.DataFrame:
        """A line an epoch, as it began: `epoch`, `mean` weight of the pairs, `truth` pairs, their `agreement` with the
        LLM, `bias`, and a column an input. Empty without guidance."""
        names = ["mean", "truth", "agreement", "bias", *self.config.seen]
        if self.guidance is None or not self.guidance.traces:
            return pd.DataFrame(columns=["epoch", *names])
        frame = pd.DataFrame(self.guidance.traces[-1].numpy(), columns=names)
        frame.insert(0, "epoch", np.arange(1, len(frame) + 1))
        return frame

    def _scores(self, train: Dataset) -> PairScores | None:
        if self.scores is not None:
            return self.scores
        if self.config.scores is not None:
            return read_scores(self.config.scores, train)
        return PairScores.of(train.scores) if len(train.scores) else None


class _Joint(nn.Module):
    """The recommender's network and the gate, which one optimizer trains."""

    def __init__(self, recommender: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.recommender, self.gate = recommender, gate


class _Learner:
    """The recommender's own learner, with the guidance's term behind its terms."""

    name: ClassVar[str]

    def __init__(self, base: Any, guidance: Guidance) -> None:
        self.base, self.guidance = base, guidance
        # The recommender's own settings are no part of this: the loop looks at them itself, and not at `epochs`.
        told = hashlib.sha256(guidance.config.model_dump_json(exclude={"settings"}).encode())
        for column in (guidance.scores.user, guidance.scores.item, guidance.scores.score):
            told.update(column.tobytes())
        # A training that was cut off goes on only with the same scores and settings.
        self.name: str = f"{base.name}+{told.hexdigest()[:12]}"  # type: ignore[misc]

    @property
    def config(self) -> training.TrainingConfig:
        return cast(training.TrainingConfig, self.base.config)

    def build(self, train: Dataset) -> _Joint:
        return _Joint(self.base.build(train), self.guidance.gate(train, self.config.epochs))

    def terms(self, network: _Joint, train: Dataset) -> list[training.Term]:
        own = self.base.terms(network.recommender, train)
        return [*own, *self.guidance.term(self.base, network.recommender, network.gate, train)]

    def scores(self, network: _Joint, users: Ints, history: Dataset) -> Floats:
        return cast(Floats, self.base.scores(network.recommender, users, history))

    def judged(self, network: _Joint, train: Dataset, valid: Dataset, ranked: Callable[[], float]) -> float:
        if isinstance(self.base, training.Judge):
            return self.base.judged(network.recommender, train, valid, ranked)
        return ranked()
