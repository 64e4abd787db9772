"""Learnt detectors find strangers in a world of two tastes, and no row is evidence for itself."""

import numpy as np
import pytest
from recloop.errors import DataError
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.planting import planted
from recloop.recsys.evaluation.clicks import auc
from recloop.recsys.models.sasrec import SASRecConfig

from lab.detector_combination import fitted, rank_sum
from lab.detector_features import content_and_company
from lab.learnt_detectors import cross_fitted, ease_doubt, one_sequence_each, sasrec_doubt
from tests.recsys.denoising.worlds import strangers, tastes


@pytest.fixture(scope="module")
def world() -> tuple[Dataset, np.ndarray]:
    return strangers()


def of_users(data: Dataset) -> np.ndarray:
    """Without the user of every item, who has both tastes."""
    return data.user > 0


def test_ease_and_sasrec_find_them_learning_from_other_owners(world: tuple[Dataset, np.ndarray]) -> None:
    data, noise = world
    here = of_users(data)
    ease = cross_fitted(data, lambda learn, _: ease_doubt(data, learn), 3, 0)
    assert auc(noise[here], ease[here]) > 0.95
    config = SASRecConfig(epochs=25, embedding_size=16, dropout=0.1, learning_rate=5e-3)
    sasrec = cross_fitted(data, lambda learn, _: sasrec_doubt(data, learn, config), 2, 0)
    assert auc(noise[here], sasrec[here]) > 0.85


def test_a_combination_learnt_without_truth_finds_the_strangers(world: tuple[Dataset, np.ndarray]) -> None:
    data, noise = world
    texts = data.items["title"].tolist()
    more, own = planted(data, 0.1, 1)
    combination = fitted(content_and_company(more, texts), own.planted, np.ones(len(more), bool))
    doubt = combination(content_and_company(data, texts))
    here = of_users(data)
    assert auc(noise[here], doubt[here]) > 0.95
    assert 0 <= doubt.min() <= doubt.max() <= 1
    with pytest.raises(DataError, match="needs the doubts of 'rarity'"):
        combination({})


def test_what_may_not_be_known_changes_no_column(world: tuple[Dataset, np.ndarray]) -> None:
    data, _ = world
    texts = data.items["title"].tolist()
    # Nobody may know of the last twenty users: whatever they hold, the others' columns are the same.
    hidden = data.user > 20
    frame = data.interactions.assign(item=np.where(hidden, (data.item + 5) % data.n_items, data.item).astype(np.int32))
    other = data.with_(interactions=frame)
    for name, column in content_and_company(data, texts, ~hidden).items():
        np.testing.assert_allclose(column[~hidden], content_and_company(other, texts, ~hidden)[name][~hidden])
    assert (content_and_company(data, texts)["rarity"] != content_and_company(other, texts)["rarity"])[~hidden].any()


def test_a_rank_sum_needs_no_scale_and_ties_share_a_rank() -> None:
    table = {"a": np.array([1.0, 2.0, 2.0, 9.0]), "b": np.array([0.4, 0.3, 0.2, 0.1])}
    assert rank_sum(table).tolist() == [0.625, 0.6875, 0.5625, 0.625]
    assert rank_sum({"a": table["a"] ** 3, "b": table["b"] * 7}).tolist() == rank_sum(table).tolist()
    assert rank_sum(table, {"b": 0.0}).tolist() == [0.25, 0.625, 0.625, 1.0]


def test_windows_of_one_owner_become_one_sequence() -> None:
    data = tastes([[0, 1, 2, 3], [0, 1, 2, 3]], users=2)
    twins = data.rows(data.user > 0)
    same = twins.with_(users=twins.users.assign(owner=["x", "7", "7"]))
    assert len(one_sequence_each(same)) == 4
