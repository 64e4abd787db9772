"""Reference rows without a language model: random, co-occurrence, content, and both combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...recsys.data import Dataset
from ...recsys.models.recommender import Recommender
from .cases import Case
from .content import Content, content

Doubles = npt.NDArray[np.float64]

NAMES = ("random", "popularity", "itemknn", "ease", "content", "content + ease")
ALL_YES = "all yes"
MODELS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "itemknn": {"weighting": "cosine", "neighbours": 200},
    "ease": {"l2": 300.0},
}
"""Plain cosine, as the literature has it, and EASE for data of a few hundred users; nothing is tuned a dataset."""
BLOCK = 64


@dataclass(frozen=True)
class References:
    """The rows, fitted to `train` when first asked; a user's history is what is `known` at test time."""

    train: Dataset
    known: Dataset
    threads: int = 1

    def scores(self, cases: Sequence[Case]) -> dict[str, list[Doubles]]:
        """Row -> scores of each case's items, in the order shown; higher is better, ties are ties.

        `random` gives every item the same score: places of ties are expected ones, so its figures are exact.
        Items of the user's own history that stand in a list are scored like any other.
        """
        by_reference: dict[str, list[Doubles]] = {"random": [np.zeros(len(case.candidates)) for case in cases]}
        for name, fitted in self.models.items():
            by_reference[name] = _of_model(fitted, self.known, cases)
        by_reference["content"] = [
            self.content.scores(self.known.history(c.user).tolist(), c.candidates) for c in cases
        ]
        by_reference["content + ease"] = [
            standard(a) + standard(b) for a, b in zip(by_reference["content"], by_reference["ease"], strict=True)
        ]
        return {name: by_reference[name] for name in NAMES}

    @cached_property
    def models(self) -> dict[str, Recommender]:
        # The table of models imports torch: seconds that a reader of the settings need not wait.
        from ...recsys.models import FitContext, model

        made: dict[str, Recommender] = {name: model(name, **settings) for name, settings in MODELS.items()}
        for one in made.values():
            one.fit(self.train, None, FitContext(threads=self.threads))
        return made

    @cached_property
    def content(self) -> Content:
        return content(self.known)


def standard(values: Doubles) -> Doubles:
    """Values of one list on a common scale: mean 0, standard deviation 1 (all 0 where they do not differ)."""
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros_like(values)


def _of_model(fitted: Recommender, known: Dataset, cases: Sequence[Case]) -> list[Doubles]:
    scores = []
    for start in range(0, len(cases), BLOCK):
        block = cases[start : start + BLOCK]
        users = np.array([case.user for case in block], np.int32)
        every = fitted.score(users, known)
        scores += [every[row, list(case.candidates)].astype(np.float64) for row, case in enumerate(block)]
    return scores
