"""`bazaar`, the built-in world: a small shop whose goods, tastes and planted noise are known because they are made up.

The model, in the order in which it is drawn (every stream is `np.random.default_rng([seed, stream])`):

1. Items. Item i has a department (10), a kind in it (4 each), a mood (8) that may be blended with a second one, and a
   scene (6) that no text tells. Its traits are the unit vector of sqrt(.55) * department, sqrt(.30) * mood and
   sqrt(.15) * scene, each a block of non-negative coordinates. The popularity follows Zipf and Mandelbrot:
   p_i ~ (rank_i + 10)^-1.3, ranks dealt at random.
2. Texts. Title, categories and description name department, kind and mood, but not always: some titles are a maker
   and a number, some descriptions or categories are missing, some praise another mood than the true one.
3. Users. A taste is a sparse mixture (Dirichlet) over departments, moods and scenes in the space of the traits. User u
   begins at `start[u]` and ends at `end[u]`, which shares `1 - drift` of its mixture with the start; in between the
   taste moves in a straight line with the share of the history gone by (`phase`, 0 at the first row, 1 at the last).
4. Histories. Lengths are log-normal, median 20, within [shortest, longest]. The last `clean_end` rows of a user are
   never noise; every other row is, with probability `noise`, an item drawn from the popularity alone (planted noise,
   .07 of all rows at the default .08); else an item drawn from p_i * exp(SHARPNESS * affinity). With probability
   `follow` such a row is a follow-up: only the kind that goes with the last row of the user's own choice is in the
   draw (a kite line after a kite). Nobody buys an item twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import ConfigError
from .bazaar_texts import described
from .bazaar_words import DEPARTMENTS, MOODS
from .dataset import Dataset, Floats, Ints

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

SCENES = 6
"""Hidden groups of goods that the same people like and no text explains; only co-occurrence shows them."""
BLOCKS = ((len(DEPARTMENTS), 0.55), (len(MOODS), 0.30), (SCENES, 0.15))
"""Coordinates and share of the squared length of the three blocks of traits: department, mood, scene."""
SHARPNESS = 13.0
"""What affinity, in [0, 1], weighs in a choice.

Chosen so that texts and co-occurrence both help and neither settles the matter. Seed 0, last item of each user against
unseen items: AUC .79 by the TF-IDF of the last five items, .68 by popularity, .92 by the true affinity; NDCG@10 over
the whole catalogue .012 at random, .06 by popularity, .14 by ItemKNN, .36 by true affinity and popularity.
"""
OPENING = 1_672_531_200
"""2023-01-01 00:00 UTC, when the shop opens; users come in over a year."""
BLOCK_OF_USERS = 2048
"""Users drawn together: bounds the memory at 2,048 x items doubles."""


@dataclass(frozen=True)
class World:
    """A bazaar and the truth about it; arrays over rows are aligned with `dataset.interactions`.

    noise: (n,) true where the row is planted noise.
    followed: (n,) true where the row was chosen to go with the user's previous own choice.
    phase: (n,) float64 in [0, 1], how far the user's taste had moved.
    traits: (n_items, 24) float32 unit vectors, non-negative: department, mood, scene.
    department, kind, mood: (n_items,) int32; kinds are numbered through all departments, mood is the leading one.
    popularity: (n_items,) float64, sums to 1: the distribution that noise is drawn from.
    start, end: (n_users, 24) float32 unit vectors, a user's taste at phase 0 and 1.
    """

    dataset: Dataset
    noise: Bools
    followed: Bools
    phase: Doubles
    traits: Floats
    department: Ints
    kind: Ints
    mood: Ints
    popularity: Doubles
    start: Floats
    end: Floats

    def taste(self, user: npt.ArrayLike, when: npt.ArrayLike = 1.0) -> Floats:
        """(..., 24) unit vectors: the tastes of `user` (codes) at phase `when` in [0, 1]; the two broadcast."""
        user, when = np.asarray(user), np.asarray(when, np.float32)[..., None]
        return _unit((1 - when) * self.start[user] + when * self.end[user]).astype(np.float32)

    def affinity(self, user: npt.ArrayLike, item: npt.ArrayLike, when: npt.ArrayLike = 1.0) -> Floats:
        """How well items suit users at phase `when`: cosine of taste and traits, in [0, 1]. The three broadcast."""
        return np.asarray((self.taste(user, when) * self.traits[np.asarray(item)]).sum(-1), np.float32)

    def noise_in(self, data: Dataset) -> Bools:
        """(len(data),) true where a row of `data`, a side or an edit of this world, is planted noise.

        A pair (user, item) stands once in the world, so it tells the row; rows that agents added are not noise.
        """
        planted = self.dataset.user[self.noise].astype(np.int64) * self.dataset.n_items + self.dataset.item[self.noise]
        return np.isin(data.user.astype(np.int64) * self.dataset.n_items + data.item, planted)


def bazaar(seed: int = 0, users: int = 500, items: int = 400, noise: float = 0.08, **settings: Any) -> Dataset:
    """The Dataset of `world(...)` without its truth; the same arguments."""
    return world(seed, users, items, noise, **settings).dataset


def world(
    seed: int = 0,
    users: int = 500,
    items: int = 400,
    noise: float = 0.08,
    *,
    drift: float = 0.7,
    follow: float = 0.35,
    shortest: int = 8,
    longest: int = 60,
    clean_end: int = 2,
) -> World:
    """A seeded bazaar with its truth; equal arguments give equal worlds, byte for byte.

    noise, follow: probabilities of a row, in [0, 1]. drift: share of the taste that is new at the end, in [0, 1].
    shortest, longest: bounds of a history, in rows; `items` must be at least twice `longest`.
    clean_end: last rows of a user that are never noise; 2 keeps a leave-last-out validation and test side clean.
    Raises ConfigError when a setting is out of its range.
    """
    _check(users, items, longest, shortest, noise=noise, drift=drift, follow=follow)
    goods = _goods(items, np.random.default_rng([seed, 0]))
    table = described(goods.kind, goods.mood, np.random.default_rng([seed, 1]))
    start, end = _tastes(users, drift, np.random.default_rng([seed, 2]))
    rng = np.random.default_rng([seed, 3])
    lengths = np.clip(np.rint(np.exp(rng.normal(np.log(20), 0.55, users))), shortest, longest).astype(np.int64)
    phase = _within(lengths) / np.maximum(np.repeat(lengths, lengths) - 1, 1)
    noisy = (rng.random(len(phase)) < noise) & (np.repeat(lengths, lengths) - _within(lengths) > clean_end)
    wanted = (rng.random(len(phase)) < follow) & ~noisy
    item, followed = _histories(goods, start, end, lengths, noisy, wanted, np.random.default_rng([seed, 4]))
    interactions = pd.DataFrame(
        {
            "user": np.repeat(np.arange(users, dtype=np.int32), lengths),
            "item": item,
            "timestamp": _timestamps(lengths, np.random.default_rng([seed, 5])),
            "value": np.ones(len(item), np.float32),
            "weight": np.ones(len(item), np.float32),
        }
    )
    people = pd.DataFrame({"user_id": [f"u{u:04d}" for u in range(users)]})
    dataset = Dataset(f"bazaar-{seed}", interactions, table, people)
    return World(
        dataset, noisy, followed, phase, goods.traits, goods.department, goods.kind, goods.mood, goods.popularity,
        start, end,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Goods:
    traits: Floats
    department: Ints
    kind: Ints
    mood: Ints
    popularity: Doubles


def _check(users: int, items: int, longest: int, shortest: int, **shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"bazaar: {name} is {share}, it must lie in [0, 1]")
    if not 1 <= shortest <= longest:
        raise ConfigError(f"bazaar: shortest {shortest} and longest {longest} must satisfy 1 <= shortest <= longest")
    if users < 1 or items < 2 * longest:
        raise ConfigError(
            f"bazaar: n_users={users} and n_items={items}; give at least 1 user and {2 * longest} items "
            f"(twice the longest history, {longest})"
        )


def _goods(items: int, rng: np.random.Generator) -> _Goods:
    each = len(DEPARTMENTS[0].kinds)
    kind = rng.permutation(np.arange(items) % (len(DEPARTMENTS) * each))
    department = kind // each
    mood, second = rng.integers(len(MOODS), size=(2, items))
    blend = rng.choice([0.0, 0.0, 0.4], size=items)  # a third of the goods has a second mood
    moods = np.eye(len(MOODS))[mood] + blend[:, None] * np.eye(len(MOODS))[second]
    scenes = np.eye(SCENES)[rng.integers(SCENES, size=items)]
    popularity = (rng.permutation(items) + 10.0) ** -1.3
    return _Goods(
        _traits(np.eye(len(DEPARTMENTS))[department], moods, scenes),
        department.astype(np.int32),
        kind.astype(np.int32),
        mood.astype(np.int32),
        popularity / popularity.sum(),
    )


def _traits(*blocks: Doubles) -> Floats:
    """(n, 24) unit vectors of three blocks of mixtures, each given its share of the squared length."""
    return np.hstack([np.sqrt(share) * _unit(block) for (_, share), block in zip(BLOCKS, blocks, strict=True)]).astype(
        np.float32
    )


def _tastes(users: int, drift: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    early = [rng.dirichlet(np.full(size, 0.2), users) for size, _ in BLOCKS]
    other = [rng.dirichlet(np.full(size, 0.2), users) for size, _ in BLOCKS]
    late = [(1 - drift) * before + drift * after for before, after in zip(early, other, strict=True)]
    return _traits(*early), _traits(*late)


def _histories(
    goods: _Goods, start: Floats, end: Floats, lengths: npt.NDArray[np.int64], noisy: Bools, wanted: Bools,
    rng: np.random.Generator,
) -> tuple[Ints, Bools]:  # fmt: skip
    """(n,) items and whether each was a follow-up; the users of a block take their t-th step together."""
    first = np.concatenate([[0], np.cumsum(lengths)])
    each = len(DEPARTMENTS[0].kinds)
    goes_with = goods.kind // each * each + (goods.kind + 1) % each
    bias = np.log(goods.popularity)
    item, followed = np.empty(first[-1], np.int32), np.zeros(first[-1], bool)
    for low in range(0, len(lengths), BLOCK_OF_USERS):
        block = np.arange(low, min(low + BLOCK_OF_USERS, len(lengths)))
        seen = np.zeros((len(block), len(bias)), bool)
        own = np.full(len(block), -1)
        early, late = start[block] @ goods.traits.T, end[block] @ goods.traits.T
        alike = (start[block] * end[block]).sum(1, keepdims=True)
        for t in range(lengths[block].max()):
            here = np.flatnonzero(lengths[block] > t)
            user, row = block[here], first[block[here]] + t
            when = (t / np.maximum(lengths[user] - 1, 1)).astype(np.float32)[:, None]
            # The length of the taste between two unit vectors; with it no step needs a matrix product.
            length = np.sqrt((1 - when) ** 2 + when**2 + 2 * when * (1 - when) * alike[here])
            affinity = ((1 - when) * early[here] + when * late[here]) / length
            utility = bias + np.where(noisy[row], 0.0, SHARPNESS)[:, None] * affinity
            utility[seen[here]] = -np.inf
            fits = (goods.kind == goes_with[own[here], None]) & ~seen[here]
            narrow = wanted[row] & (own[here] >= 0) & fits.any(1)
            utility[narrow[:, None] & ~fits] = -np.inf
            # The largest of utility + Gumbel noise is a draw from softmax(utility).
            chosen = (utility + rng.gumbel(size=utility.shape)).argmax(1)
            item[row], followed[row], seen[here, chosen] = chosen, narrow, True
            own[here] = np.where(noisy[row], own[here], chosen)
    return item, followed


def _timestamps(lengths: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(n,) unix seconds: users arrive over a year, then come back after minutes to weeks (median about two days)."""
    gap = np.rint(60 + np.exp(rng.normal(np.log(170_000), 1.2, lengths.sum()))).astype(np.int64)
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    gap[firsts] = OPENING + rng.integers(365 * 86_400, size=len(lengths))
    total = np.cumsum(gap)
    return total - np.repeat(total[firsts] - gap[firsts], lengths)


def _within(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) the place of each row in its user's history: 0, 1, 2, ..."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Each row divided by its length."""
    return np.asarray(vectors / np.sqrt((vectors * vectors).sum(-1, keepdims=True)))
