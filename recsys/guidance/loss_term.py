"""The guidance as a loss term of any network: `terms: [guidance]` among a network's hyperparameters."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from torch import nn

from ...errors import ConfigError
from ..data.dataset import Dataset
from ..training.batches import with_positive_weight
from ..training.config import Config
from ..training.loss_term import LossTerm
from ..training.terms import Term
from .gates import Gate
from .scores import PairScores, read_scores
from .selective import Selective
from .term import Guidance
from .truth import apart

AGENT = "score_pairs"
"""The agent that writes the scores. Preference pairs of agents that also wrote scores, controls included, are left out
of the training: they are the same evidence."""


class GuidanceConfig(Selective):
    scores: Path | None = None
    """A Parquet file of user_id, item_id, score; null: the scores that an agent wrote into the data, if any."""


class GuidanceTerm(LossTerm[GuidanceConfig]):
    """LLM scores of pairs as a loss term, weighted by a gate. Without scores it has no effect.

    scores: used instead of those of the settings and of the data. truth: interactions that a `held_out` gate is fitted
    to. Without it the gate gets the share `gate_users` of the validation users, who then take no part in early
    stopping.
    """

    name: ClassVar[str] = "guidance"
    Config: ClassVar[type[Config]] = GuidanceConfig

    def __init__(
        self, config: GuidanceConfig | None = None, scores: PairScores | None = None, truth: Dataset | None = None
    ) -> None:
        super().__init__(config)
        self.given, self.truth = scores, truth
        self.guidance: Guidance | None = None
        self.gate: Gate | None = None

    def identity(self) -> str:
        digest = hashlib.sha256(self.config.model_dump_json(include=set(Selective.model_fields)).encode())
        if self.guidance is not None:
            scores = self.guidance.scores
            for column in (scores.user, scores.item, scores.score):
                digest.update(column.tobytes())
        return f"{self.name}-{digest.hexdigest()[:12]}"

    def check(self, train: Dataset | None = None) -> None:
        if self.config.scores is not None and not self.config.scores.exists():
            raise ConfigError(f"guidance: scores {self.config.scores} do not exist; name a Parquet file of pair scores")

    def prepare(self, train: Dataset, valid: Dataset | None) -> tuple[Dataset, Dataset | None]:
        """Raises ConfigError if a `held_out` gate has neither truth nor a validation side, DataError if no pair of them
        can be fitted to."""
        self.guidance, self.gate = None, None
        scores = self._scores(train)
        if scores is None:
            return train, valid
        truth, stops = self.truth, valid
        if self.config.gate == "held_out" and truth is None:
            if valid is None:
                raise ConfigError(
                    "gate held_out needs a validation side to be fitted to; give one, or take another gate"
                )
            stops, truth = apart(with_positive_weight(valid), self.config.gate_users, self.config.seed)
        writers = {AGENT, *train.scores["agent"]}
        train = train.with_(pairs=train.pairs[~train.pairs["agent"].isin(writers)])
        self.guidance = Guidance.of(self.config, scores, with_positive_weight(train), truth)
        return train, stops

    def module(self, learner: Any, network: nn.Module, train: Dataset) -> nn.Module:
        return nn.Module() if self.guidance is None else self.guidance.gate(train, learner.config.epochs)

    def terms(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> list[Term]:
        if self.guidance is None or not isinstance(module, Gate):
            return []
        return self.guidance.term(learner, network, module, train)

    def finish(self, learner: Any, network: nn.Module, module: nn.Module, train: Dataset) -> None:
        if self.guidance is not None and isinstance(module, Gate):
            self.gate = module
            self.guidance.end(learner, network, module, train)

    def gate_log(self) -> pd.DataFrame:
        """One row per epoch, at its beginning: `epoch`, `mean` weight of the pairs, number of `truth` pairs, their
        `agreement` with the LLM, `bias`, and the weight of each input. Empty without guidance."""
        names = ["mean", "truth", "agreement", "bias", *self.config.seen]
        if self.guidance is None or not self.guidance.traces:
            return pd.DataFrame(columns=["epoch", *names])
        frame = pd.DataFrame(self.guidance.traces[-1].numpy(), columns=names)
        frame.insert(0, "epoch", np.arange(1, len(frame) + 1))
        return frame

    def _scores(self, train: Dataset) -> PairScores | None:
        if self.given is not None:
            return self.given
        if self.config.scores is not None:
            return read_scores(self.config.scores, train)
        return PairScores.of(train.scores) if len(train.scores) else None
