"""`RecommenderContract`: the tests that every recommender passes, recloop's own and plug-ins.

A plug-in's test file needs five lines:

    class TestMine(RecommenderContract):
        def make(self, **hyperparameters):
            return Mine(Mine.Config(epochs=20, **hyperparameters))
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ...errors import ConfigError, DataError
from ..data.dataset import PAIR_COLUMNS, Dataset, Floats, Ints, Split
from .recommender import FitContext
from .table import Storable, load, save

HOOKS = frozenset({"weights", "pairs", "item_vectors", "user_vectors", "scores"})


def two_tastes(users: int = 40, items: int = 24, each: int = 8, seed: int = 0) -> Split:
    """Data with a known answer: even users interact with even items only, odd users with odd ones.

    Every user has `each` interactions in random order; the last is test, the one before validation.
    """
    rng = np.random.default_rng([seed, users])
    chosen = np.stack([rng.permutation(np.arange(u % 2, items, 2))[:each] for u in range(users)])
    first = np.arange(items)[None, :]  # one more user, of both tastes, so that every item is known
    table = pd.DataFrame(
        {
            "user_id": np.r_[np.repeat(np.arange(users), each), np.full(items, users)],
            "item_id": np.r_[chosen.ravel(), first.ravel()],
            "timestamp": np.r_[np.tile(np.arange(each), users), np.arange(items)],
        }
    )
    whole = Dataset.of("two tastes", table)
    place = np.arange(len(whole)) - whole.indptr[whole.user + 1]
    regular = whole.user < users
    return Split(
        whole.rows(~regular | (place < -2)), whole.rows(regular & (place == -2)), whole.rows(regular & (place == -1))
    )


class RecommenderContract(ABC):
    """Subclass it as `Test...` and implement `make` with a model small enough to be fitted in about a second."""

    learns_taste = True
    """False for models that are not personalised."""

    @abstractmethod
    def make(self, **hyperparameters: object) -> Storable:
        """An unfitted model with these hyperparameters."""

    def test_its_name_and_hooks_are_declared(self) -> None:
        model = self.make()
        assert model.name
        assert model.name == model.name.lower()
        assert model.accepts <= HOOKS

    def test_it_scores_every_item_for_the_users_asked_for(self) -> None:
        split = two_tastes()
        model = self._fitted(split)
        scores = model.score(_everyone(split.train), split.train)
        assert scores.shape == (split.train.n_users, split.train.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        some = np.array([5, 2, 2], np.int32)
        np.testing.assert_allclose(model.score(some, split.train), scores[some], rtol=1e-4, atol=1e-5)

    def test_it_prefers_unseen_items_of_the_users_own_taste(self) -> None:
        if not self.learns_taste:
            return
        split = two_tastes()
        scores = _unseen(self._fitted(split).score(_everyone(split.train), split.train), split.train)
        users = np.arange(split.train.n_users - 1)
        own = (split.train.items["item_id"].to_numpy() % 2)[None] == (users % 2)[:, None]
        likes = np.nanmean(np.where(own, scores[users], np.nan), 1)
        dislikes = np.nanmean(np.where(own, np.nan, scores[users]), 1)
        assert (likes > dislikes).mean() > 0.9

    def test_the_same_seed_gives_the_same_scores(self) -> None:
        split = two_tastes()
        first, second = (self._scores(split, FitContext(seed=3)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_fitting_leaves_the_process_and_the_data_as_they_were(self) -> None:
        split = two_tastes()
        before = (split.train.fingerprint, split.valid.fingerprint, torch.get_num_threads())
        states = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]  # noqa: NPY002
        self._fitted(split, FitContext(threads=1))
        assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]  # noqa: NPY002
        assert before == (split.train.fingerprint, split.valid.fingerprint, torch.get_num_threads())

    def test_scoring_before_fitting_is_refused(self) -> None:
        split = two_tastes()
        assert _raises(ConfigError, lambda: self.make().score(_everyone(split.train), split.train))

    def test_training_on_nothing_is_refused(self) -> None:
        train = two_tastes().train
        nothing = train.rows(np.zeros(len(train), bool))
        assert _raises(DataError, lambda: self.make().fit(nothing))

    def test_a_user_without_history_gets_finite_scores(self) -> None:
        split = two_tastes()
        without = split.train.rows(split.train.user != 7)
        model = self.make()
        model.fit(without)
        assert np.isfinite(model.score(np.array([7, 8], np.int32), without)).all()

    def test_a_model_read_back_from_disk_scores_the_same(self, tmp_path: Path) -> None:
        split = two_tastes()
        model = self._fitted(split)
        save(model, tmp_path / "model")
        again = load(tmp_path / "model")
        everyone = _everyone(split.train)
        np.testing.assert_array_equal(again.score(everyone, split.train), model.score(everyone, split.train))
        assert again.config == model.config

    def test_refitting_learns_from_the_validation_side_too(self) -> None:
        split = two_tastes()
        apart, both = (self.make(refit=refit) for refit in (False, True))
        for model in (apart, both):
            model.fit(split.train, split.valid)
        everyone = _everyone(split.train)
        assert not np.allclose(apart.score(everyone, split.train), both.score(everyone, split.train))

    def test_an_interaction_of_weight_0_is_absent(self) -> None:
        train = two_tastes().train
        gone = np.arange(len(train)) % 5 == 2
        silent = _weighted(train, np.where(gone, 0.0, 1.0))
        if "weights" not in self.make().accepts:
            return
        here, absent = self.make(), self.make()
        here.fit(silent)
        absent.fit(train.rows(~gone))
        everyone = _everyone(train)
        np.testing.assert_allclose(
            here.score(everyone, silent), absent.score(everyone, train.rows(~gone)), rtol=1e-5, atol=1e-6
        )

    def test_weights_count_only_where_they_are_declared(self) -> None:
        train = two_tastes().train
        heavy = _weighted(train, np.where(train.item < train.n_items // 2, 3.0, 0.25))
        self._matters("weights", train, heavy)

    def test_preference_pairs_count_only_where_they_are_declared(self) -> None:
        self._pairs_matter(two_tastes().train)

    def test_item_vectors_count_only_where_they_are_declared(self) -> None:
        train = two_tastes().train
        vectors = np.random.default_rng(1).normal(size=(train.n_items, 12)).astype(np.float32)
        self._matters("item_vectors", train, train.with_(item_vectors=vectors))

    def test_user_vectors_count_only_where_they_are_declared(self) -> None:
        train = two_tastes().train
        vectors = np.random.default_rng(2).normal(size=(train.n_users, 12)).astype(np.float32)
        self._matters("user_vectors", train, train.with_(user_vectors=vectors))

    def _matters(self, hook: str, plain: Dataset, changed: Dataset) -> tuple[Floats, Floats]:
        one, two = self.make(), self.make()
        one.fit(plain)
        two.fit(changed)
        everyone = _everyone(plain)
        before, after = one.score(everyone, plain), two.score(everyone, changed)
        assert np.allclose(before, after, rtol=1e-5, atol=1e-7) is (hook not in one.accepts)
        return before, after

    def _pairs_matter(self, train: Dataset) -> None:
        """Fits with a pair of every user that prefers item 3 to item 4."""
        users = np.arange(train.n_users, dtype=np.int32)
        columns = [users, np.full_like(users, 3), np.full_like(users, 4), np.ones(len(users), np.float32), "a", "r"]
        stated = train.with_(pairs=pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))
        plain, guided = self._matters("pairs", train, stated)
        if "pairs" in self.make().accepts:
            assert (guided[:, 3] - guided[:, 4]).mean() > (plain[:, 3] - plain[:, 4]).mean()

    def _fitted(self, split: Split, context: FitContext | None = None) -> Storable:
        model = self.make()
        model.fit(split.train, split.valid, context or FitContext())
        return model

    def _scores(self, split: Split, context: FitContext) -> Floats:
        return self._fitted(split, context).score(_everyone(split.train), split.train)


def _everyone(data: Dataset) -> Ints:
    return np.arange(data.n_users, dtype=np.int32)


def _unseen(scores: Floats, seen: Dataset) -> Floats:
    masked = scores.copy()
    masked[seen.user, seen.item] = np.nan
    return masked


def _weighted(data: Dataset, weight: np.ndarray) -> Dataset:
    return data.with_(interactions=data.interactions.assign(weight=weight.astype(np.float32)))


def _raises(kind: type[Exception], call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except kind:
        return True
    return False
