"""`ClickContract`: the tests that every click model passes, recloop's own and plug-ins.

It extends `RecommenderContract` by tests of `predict`. A plug-in's test file needs five lines:

    class TestMine(ClickContract):
        def make(self, **hyperparameters):
            return Mine(Mine.Config(epochs=20, **hyperparameters))
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Split
from ..evaluation.clicks import auc
from ..models.contract import RecommenderContract
from ..models.recommender import FitContext
from ..models.table import Storable, load, save


class ClickRecommender(Storable, Protocol):
    """A recommender that also predicts the probability of a click."""

    def predict(self, rows: Dataset, history: Dataset) -> Floats:
        """(len(rows),) probabilities in [0, 1], at each row's time; only earlier rows in `history` are used."""


def checkerboard(users: int = 32, items: int = 24, seed: int = 0) -> Split:
    """Data that no additive model fits: a user likes an item if both codes are even or both are odd.

    Every user rates every item, 5 or 1, in random order: 18 items are train, 3 validation, 3 test.
    """
    rng = np.random.default_rng([seed, users])
    item = np.stack([rng.permutation(items) for _ in range(users)])
    user = np.repeat(np.arange(users)[:, None], items, 1)
    place = np.repeat(np.arange(items)[None], users, 0)
    table = {
        "user_id": user.ravel(),
        "item_id": item.ravel(),
        "timestamp": (1000 * place + user).ravel(),
        "value": np.where((user + item) % 2 == 0, 5.0, 1.0).ravel(),
    }
    whole = Dataset.of("checkerboard", pd.DataFrame(table))
    later = whole.timestamp // 1000 - (items - 6)
    return Split(whole.rows(later < 0), whole.rows((later >= 0) & (later < 3)), whole.rows(later >= 3))


def good_and_bad(users: int = 20, items: int = 40, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Data for cold items: those of category "good" are liked by everyone, those of "bad" by no one.

    Returns train, with the first half of the items, and test, with the other half.
    """
    rng = np.random.default_rng([seed, items])
    user, item = (side.ravel() for side in np.indices((users, items)))
    good = rng.permutation(items) % 2 == 0
    table = {"user_id": user, "item_id": item, "value": np.where(good[item], 5.0, 1.0)}
    described = {"item_id": np.arange(items), "categories": np.where(good, "good, any", "bad, any")}
    whole = Dataset.of("good and bad", pd.DataFrame(table), pd.DataFrame(described))
    known = whole.items["item_id"].to_numpy()[whole.item] < items // 2
    return whole.rows(known), whole.rows(~known)


class ClickContract(RecommenderContract):
    """Subclass it as `Test...` and implement `make` with a model small enough to be fitted in about a second."""

    learns_interactions = True
    """False for additive models, which are sums of weights."""

    @abstractmethod
    def make(self, **hyperparameters: object) -> ClickRecommender:
        """An unfitted model with these hyperparameters."""

    def test_it_gives_every_row_a_chance_of_a_click(self) -> None:
        split = checkerboard()
        chances = self._clicks(split).predict(split.test, split.train)
        assert chances.shape == (len(split.test),)
        assert chances.dtype == np.float32
        assert ((chances >= 0) & (chances <= 1)).all()

    def test_it_learns_what_only_an_interaction_tells(self) -> None:
        split = checkerboard()
        right = auc(split.test.value >= 4, self._clicks(split).predict(split.test, split.train))
        assert right > 0.9 if self.learns_interactions else right < 0.75

    def test_it_learns_from_the_features_of_items_it_never_met(self) -> None:
        train, unmet = good_and_bad()
        model = self.make()
        model.fit(train)
        assert auc(unmet.value >= 4, model.predict(unmet, train)) > 0.9

    def test_the_label_of_a_row_does_not_change_its_chance(self) -> None:
        split = checkerboard()
        model = self._clicks(split)
        turned = split.test.with_(interactions=split.test.interactions.assign(value=np.float32(6) - split.test.value))
        np.testing.assert_array_equal(model.predict(split.test, split.train), model.predict(turned, split.train))

    def test_what_happens_at_or_after_a_row_does_not_change_its_chance(self) -> None:
        split = checkerboard()
        model = self._clicks(split)
        rows = split.train.rows(split.train.timestamp // 1000 == 9)
        known = model.predict(rows, split.train)
        past = model.predict(rows, split.train.rows(split.train.timestamp // 1000 < 9))
        np.testing.assert_allclose(known, past, rtol=1e-5, atol=1e-7)

    def test_a_click_model_read_back_from_disk_predicts_the_same(self, tmp_path: Path) -> None:
        split = checkerboard()
        model = self._clicks(split)
        save(model, tmp_path / "model")
        again: ClickRecommender = load(tmp_path / "model")  # type: ignore[assignment]
        np.testing.assert_array_equal(again.predict(split.test, split.train), model.predict(split.test, split.train))

    def test_predicting_before_fitting_is_refused(self) -> None:
        split = checkerboard()
        try:
            self.make().predict(split.test, split.train)
        except ConfigError:
            return
        raise AssertionError("predict went on without fit")

    def test_weights_of_rated_rows_count_only_where_they_are_declared(self) -> None:
        train = checkerboard().train
        weight = np.where(train.item < train.n_items // 2, 3.0, 0.25).astype(np.float32)
        self._matters("weights", train, train.with_(interactions=train.interactions.assign(weight=weight)))

    def test_a_rated_row_of_weight_0_is_absent(self) -> None:
        if "weights" not in self.make().accepts:
            return
        train = checkerboard().train
        gone = np.arange(len(train)) % 5 == 2
        weight = np.where(gone, 0, 1).astype(np.float32)
        silent = train.with_(interactions=train.interactions.assign(weight=weight))
        chances = []
        for data in (silent, train.rows(~gone)):
            model = self.make()
            model.fit(data)
            chances.append(model.predict(train, data))
        np.testing.assert_allclose(chances[0], chances[1], rtol=1e-5, atol=1e-6)

    def test_preference_pairs_move_the_margins_of_rated_rows_where_they_are_declared(self) -> None:
        self._pairs_matter(checkerboard().train)

    def test_initial_vectors_count_on_rated_rows_only_where_they_are_declared(self) -> None:
        train = checkerboard().train
        for hook, n in (("item_vectors", train.n_items), ("user_vectors", train.n_users)):
            vectors = np.random.default_rng(n).normal(size=(n, 12)).astype(np.float32)
            self._matters(hook, train, train.with_(**{hook: vectors}))

    def _clicks(self, split: Split) -> ClickRecommender:
        model = self.make()
        model.fit(split.train, split.valid, FitContext())
        return model
