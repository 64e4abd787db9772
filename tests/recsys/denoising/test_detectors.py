"""Detectors find strangers in a world of two tastes, and no row is evidence for itself."""

import numpy as np
import pytest
from recloop.errors import DataError
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.coherence import (
    mean_over_context,
    neighbour_doubt,
    pairs_around,
    popularity_doubt,
    random_doubt,
    text_doubt,
)
from recloop.recsys.denoising.combine import fitted, rank_sum
from recloop.recsys.denoising.features import content_and_company
from recloop.recsys.denoising.learnt import ease_doubt, sasrec_doubt
from recloop.recsys.denoising.owners import cross_fitted, holdings, one_sequence_each, owners
from recloop.recsys.denoising.planting import planted
from recloop.recsys.evaluation.clicks import auc
from recloop.recsys.models.sasrec import SASRecConfig

from tests.recsys.denoising.worlds import EACH, strangers, tastes


@pytest.fixture(scope="module")
def world() -> tuple[Dataset, np.ndarray]:
    return strangers()


def of_users(data: Dataset) -> np.ndarray:
    """Without the user of every item, who has both tastes."""
    return data.user > 0


def test_neighbours_and_words_find_the_strangers(world: tuple[Dataset, np.ndarray]) -> None:
    data, noise = world
    here = of_users(data)
    assert auc(noise[here], neighbour_doubt(data)[here]) > 0.98
    assert auc(noise[here], text_doubt(data, data.items["title"].tolist())[here]) > 0.98
    assert 0.3 < auc(noise[here], random_doubt(data, 0)[here]) < 0.7


def test_ease_and_sasrec_find_them_learning_from_other_owners(world: tuple[Dataset, np.ndarray]) -> None:
    data, noise = world
    here = of_users(data)
    ease = cross_fitted(data, lambda learn, _: ease_doubt(data, learn), 3, 0)
    assert auc(noise[here], ease[here]) > 0.95
    config = SASRecConfig(epochs=25, embedding_size=16, dropout=0.1, learning_rate=5e-3)
    sasrec = cross_fitted(data, lambda learn, _: sasrec_doubt(data, learn, config), 2, 0)
    assert auc(noise[here], sasrec[here]) > 0.85


def test_an_item_that_only_its_owner_has_is_held_by_nobody() -> None:
    data = tastes([[0, 1, 2, 3]], users=1)
    assert popularity_doubt(data)[data.user == 1].tolist() == [-1.0] * 4
    alone = data.rows(data.user == 1)
    assert popularity_doubt(alone).tolist() == [0.0] * 4
    assert neighbour_doubt(alone).tolist() == [1.0] * 4


def test_windows_of_one_owner_are_no_evidence_for_each_other() -> None:
    data = tastes([[0, 1, 2, 3], [0, 1, 2, 3]], users=2)
    twins = data.rows(data.user > 0)
    assert (popularity_doubt(twins)[:4] == -1).all()
    same = twins.with_(users=twins.users.assign(owner=["x", "7", "7"]))
    assert (popularity_doubt(same)[:4] == 0).all()
    assert owners(same).tolist() == [0, 1, 1]
    assert holdings(same).sum() == 4
    assert len(one_sequence_each(same)) == 4


def test_each_pair_of_a_window_is_seen_once_and_no_pair_across_windows() -> None:
    data = tastes([[0, 1, 2]], users=2, length=3).rows(np.arange(2 * EACH + 6) >= 2 * EACH)
    pairs = [(int(a), int(b)) for first, second in pairs_around(data) for a, b in zip(first, second, strict=True)]
    assert sorted(pairs) == [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    assert mean_over_context(data, lambda a, b: np.ones(len(a))).tolist() == [1.0] * 6
    assert [len(first) for first, _ in pairs_around(data, reach=1)] == [4]


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


def test_planted_noise_is_the_same_in_all_windows_of_an_owner_and_of_the_rate_asked() -> None:
    data = tastes(users=40)
    twice = data.with_(users=data.users.assign(owner=["x"] + [str(at // 2) for at in range(40)]))
    noisy, truth = planted(twice, 0.2, 5)
    assert (noisy.item != twice.item).tolist() == truth.planted.tolist()
    owner = owners(twice)[twice.user]
    became = {}
    for whose, old, new in zip(owner, twice.item, noisy.item, strict=True):
        assert became.setdefault((whose, old), new) == new
    held = {(whose, old) for whose, old in zip(owner.tolist(), twice.item.tolist(), strict=True)}
    assert all((o, n) not in held for o, n in zip(owner[truth.planted], noisy.item[truth.planted], strict=True))
    assert 0.1 < truth.planted.mean() < 0.3
    keep = np.arange(len(data)) % 8 == 0
    assert not planted(twice, 0.2, 5, keep)[1].planted[keep].any()
    assert planted(twice, 0.0, 5)[0].fingerprint == twice.fingerprint
