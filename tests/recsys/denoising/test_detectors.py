"""Detectors find strangers in a world of two tastes, and no row is evidence for itself."""

import numpy as np
import pytest
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.coherence import (
    mean_over_context,
    neighbour_doubt,
    pairs_around,
    popularity_doubt,
    random_doubt,
    text_doubt,
)
from recloop.recsys.denoising.owners import holdings, owners
from recloop.recsys.denoising.planting import planted
from recloop.recsys.evaluation.clicks import auc

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


def test_each_pair_of_a_window_is_seen_once_and_no_pair_across_windows() -> None:
    data = tastes([[0, 1, 2]], users=2, length=3).rows(np.arange(2 * EACH + 6) >= 2 * EACH)
    pairs = [(int(a), int(b)) for first, second in pairs_around(data) for a, b in zip(first, second, strict=True)]
    assert sorted(pairs) == [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    assert mean_over_context(data, lambda a, b: np.ones(len(a))).tolist() == [1.0] * 6
    assert [len(first) for first, _ in pairs_around(data, reach=1)] == [4]


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
