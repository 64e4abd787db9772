"""What a recommender is to the rest of recloop: it is fitted to a Dataset and scores every item for some users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from ..data.dataset import Dataset, Floats, Ints


class Config(BaseModel):
    """Hyperparameters: frozen, and a key that does not exist is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where and how a model is fitted; nothing here is a hyperparameter."""

    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    """CPU threads for torch; None leaves the process's setting alone."""
    folder: Path | None = None
    """Where checkpoints and training logs go; None keeps nothing on disk."""


class Recommender(Protocol):
    """The contract of every model; `tests/recsys/contract.py` holds the tests a new one must pass.

    `accepts` names what the model uses of a Dataset beyond user, item and order: `weights` (interaction weights),
    `pairs` (preference pairs), `item_vectors`, `user_vectors` (initial vectors). What it does not name it ignores, and
    studies say so.
    """

    name: ClassVar[str]
    accepts: ClassVar[frozenset[str]]

    def fit(self, train: Dataset, valid: Dataset | None = None, circumstances: Circumstances = ...) -> None:
        """Learn from `train`; `valid` chooses when to stop where the model trains in epochs. Never sees a test side."""

    def score(self, users: Ints, history: Dataset) -> Floats:
        """(len(users), n_items) scores, higher is better; `history` is what is known of the users at that moment.

        Seen items are scored like any other: masking them is the evaluation's business.
        """
