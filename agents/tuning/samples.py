"""Tuning samples of a language model, made from sequences without labels.

A train sample consists of one user's train rows and of items with train interactions; a validation sample of one user's
train and validation rows, with at least one validation row. The test side is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...recsys.data.dataset import Dataset, Ints, together
from ...recsys.data.groups import head
from ..chat.likelihood import NO, YES
from ..chat.types import Message
from .config import Task, TuneLM
from .wording import END, find_prompt, judge_prompt, next_prompt, written

_TRIES = 100
"""Rejection-sampling attempts for an item that the user does not have, before the complement is computed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt, its answer, and the sample's weight in the loss."""

    task: Task
    prompt: tuple[Message, ...]
    answer: str
    weight: float
    user: int
    items: tuple[int, ...]
    """Codes of all items named in prompt and answer."""


class Sampler:
    """Draws samples of one side; equal generators give equal samples.

    history: the rows of each user that samples may contain. last: rows of which every sample contains the user's last
    one; None: windows may be anywhere in the history. Raises DataError if no user has enough rows.
    """

    def __init__(
        self, config: TuneLM, train: Dataset, valid: Dataset | None = None, wording: Path | None = None
    ) -> None:
        self.config = config
        self.wording = wording
        self._visible = train if valid is None else together(train, valid)
        self._at_end = valid is not None
        self._titles = [written(title) for title in train.items["title"]]
        self._tail = ~head(train, config.head)
        counts = train.item_counts.astype(np.float64)
        known = counts > 0
        chance = counts if config.noise == "popularity" else known.astype(np.float64)
        self._chance = np.cumsum(chance) / chance.sum() if chance.sum() else chance
        self._known = np.flatnonzero(known)
        long = self._visible.user_counts >= 3
        users = long if valid is None else long & (valid.user_counts > 0)
        self._users = np.flatnonzero(users)
        tasks = sorted(config.tasks)
        shares = np.array([config.tasks[task] for task in tasks])
        self._tasks: list[Task] = list(tasks)
        self._shares = shares / shares.sum()
        if not len(self._users):
            side = "train" if valid is None else "validation"
            raise DataError(f"dataset {train.name!r}: no user of the {side} side has three rows to make a sample of")
        if len(self._known) < 2:
            raise DataError(f"dataset {train.name!r}: train knows fewer than two items, none can stand in for another")

    def draw(self, count: int, rng: np.random.Generator) -> Iterator[Sample]:
        """`count` samples, of uniformly drawn users and of tasks drawn by their shares."""
        users = rng.choice(self._users, count)
        tasks = rng.choice(len(self._tasks), count, p=self._shares)
        for user, task in zip(users.tolist(), tasks.tolist(), strict=True):
            yield self._of(self._tasks[task], user, rng)

    def _of(self, task: Task, user: int, rng: np.random.Generator) -> Sample:
        if task == "find":
            return self._find(user, rng)
        return self._next(user, rng) if task == "next" else self._judge(user, rng)

    def _find(self, user: int, rng: np.random.Generator) -> Sample:
        window = self._window(user, self.config.window, rng)
        # The last row of a validation window is the held-out one; whichever position is replaced, it is in the sample.
        at = int(rng.integers(len(window)))
        stranger, stood = self._stranger(user, rng), int(window[at])
        window_items = [*window[:at].tolist(), stranger, *window[at + 1 :].tolist()]
        prompt = find_prompt([self._titles[item] for item in window_items], self.wording)
        answer = self._titles[stranger] + END + self._titles[stood] + END
        return Sample("find", prompt, answer, 1.0, user, (*window_items, stood))

    def _next(self, user: int, rng: np.random.Generator) -> Sample:
        *before, target = self._window(user, self.config.history + 1, rng).tolist()
        weight = self.config.alpha if self._tail[target] else self.config.beta
        prompt = next_prompt([self._titles[item] for item in before], self.wording)
        return Sample("next", prompt, self._titles[target] + END, weight, user, (*before, target))

    def _judge(self, user: int, rng: np.random.Generator) -> Sample:
        window = self._window(user, self.config.window, rng)
        at = len(window) - 1 if self._at_end else int(rng.integers(len(window)))
        own = bool(rng.random() < 0.5)
        candidate = int(window[at]) if own else self._stranger(user, rng)
        others = np.delete(window, at).tolist()
        prompt = judge_prompt([self._titles[item] for item in others], self._titles[candidate], self.wording)
        return Sample("judge", prompt, YES if own else NO, 1.0, user, (*others, candidate))

    def _window(self, user: int, most: int, rng: np.random.Generator) -> Ints:
        """Up to `most` consecutive rows; on the validation side the last ones."""
        rows = self._visible.history(user)
        size = min(most, len(rows))
        start = len(rows) - size if self._at_end else int(rng.integers(len(rows) - size + 1))
        return rows[start : start + size]

    def _stranger(self, user: int, rng: np.random.Generator) -> int:
        """A random item that is not in the user's rows of `history`."""
        had = set(self._visible.history(user).tolist())
        for _ in range(_TRIES):
            item = int(np.searchsorted(self._chance, rng.random(), side="right"))
            if item not in had:
                return item
        left: npt.NDArray[np.int64] = self._known[~np.isin(self._known, list(had))]
        if not len(left):
            raise DataError(f"user {self._visible.users['user_id'].iloc[user]!r} has had every item; none is strange")
        return int(rng.choice(left))
