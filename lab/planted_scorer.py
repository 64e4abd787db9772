"""A scripted model on `bazaar` whose reliability is planted: right about some pairs, wrong about all others.

For tests and benchmarks of gates: where the gate opens can be held against where it should.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from recloop.agents.catalogue import item_texts
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Chat, Request
from recloop.errors import DataError
from recloop.recsys.data import Dataset
from recloop.recsys.data.bazaar import World

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Planted:
    """users (n_users,), items (n_items,): a pair is judged rightly where either is true, else the other way round.

    A right score is the share of the catalogue that suits the user less, by the world's true affinity at the end of the
    history; a wrong one is 1 minus that. noise: deviation of the normal error added to each.
    """

    world: World
    train: Dataset
    users: Bools
    items: Bools
    noise: float = 0.05
    history: int = 10
    """Items shown of a history, as the agent's setting says; by them the script knows whom it is asked about."""

    def right(self, user: npt.ArrayLike, item: npt.ArrayLike) -> Bools:
        """Whether pairs are judged rightly; the two broadcast."""
        return np.asarray(self.users[np.asarray(user)] | self.items[np.asarray(item)])

    def score(self, user: int, item: int) -> float:
        """In [0, 1], rounded to three decimals."""
        suits = self._suits[user, item]
        error = np.random.default_rng([user, item]).normal(0, self.noise)
        return float(np.round(np.clip((suits if self.right(user, item) else 1 - suits) + error, 0, 1), 3))

    def chat(self) -> Chat:
        """A Chat that scores the options shown. Raises DataError where two items or two histories read alike."""
        texts = item_texts(self.train)
        items = {text: item for item, text in texts.items()}
        histories = {user: self.train.history(user)[-self.history :] for user in range(self.train.n_users)}
        users = {"\n".join(texts[int(item)] for item in last): user for user, last in histories.items()}
        if len(items) < self.train.n_items or len(users) < self.train.n_users:
            raise DataError("two items or two histories of this world read alike; take another seed")

        def answer(request: Request) -> str:
            assert request.facts is not None
            assert request.schema is not None
            user = users[request.facts.values["query"]]
            scored = {h: self.score(user, items[text]) for h, text in request.facts.values["options"].items()}
            ranking = [{"item": h, "score": s} for h, s in sorted(scored.items(), key=lambda pair: -pair[1])]
            return request.schema.model_validate({"reason": "as planted", "ranking": ranking}).model_dump_json()

        return scripted_chat(answer)

    @cached_property
    def _suits(self) -> npt.NDArray[np.float64]:
        """(n_users, n_items) shares of the catalogue that suit less."""
        user, item = np.arange(self.train.n_users)[:, None], np.arange(self.train.n_items)[None]
        affinity = self.world.affinity(user, item)
        return affinity.argsort(1).argsort(1) / (self.train.n_items - 1)
