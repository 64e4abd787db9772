"""Neighbours: by cosine or by weights, exact, never the item itself."""

import numpy as np
import pytest
from recloop.errors import ConfigError
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.serving import nearest

SMALL = {"epochs": 25, "embedding_size": 8, "learning_rate": 0.03, "batch_size": 16}


def neighbours(fitted, items, k=5, block=None):
    parts = list(nearest(fitted, np.asarray(items, np.int32), k, block=block))
    return np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


class Placed:
    """Item vectors that are given."""

    name = "placed"

    def __init__(self, vectors):
        self.vectors = np.asarray(vectors, np.float32)

    def item_vectors(self):
        return self.vectors

    def user_vectors(self, users, history):
        return self.vectors[:1].repeat(len(users), 0)


def test_vectors_are_compared_by_their_cosine_and_not_by_their_length():
    found, scores = neighbours(Placed([[1, 0], [9, 9], [2, 0.1], [-1, 0], [0, 0]]), [0], k=4)
    assert found.tolist() == [[2, 1, 4, 3]]
    np.testing.assert_allclose(scores[0], [np.cos(np.arctan(0.05)), np.sqrt(0.5), 0, -1], atol=1e-6)


def test_neighbours_of_equal_score_come_in_the_order_of_their_codes_in_any_blocks():
    same = Placed([[1, 0]] * 6)
    for block in (1, 2, 6):
        found, _ = neighbours(same, [3, 0], k=3, block=block)
        assert found.tolist() == [[0, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize("name", ["itemknn", "swing", "ease"])
def test_weights_are_read_as_they_are_and_only_the_positive_ones_make_neighbours(name):
    split = two_tastes()
    fitted = model(name)
    fitted.fit(split.train)
    items = np.arange(split.train.n_items, dtype=np.int32)
    weights = fitted.item_weights(items).copy()
    np.fill_diagonal(weights, -np.inf)
    found, scores = neighbours(fitted, items, k=4)
    for item in items:
        best = [i for i in np.lexsort((items, -weights[item])) if weights[item, i] > 0][:4]
        assert found[item][found[item] >= 0].tolist() == best
        np.testing.assert_array_equal(scores[item][: len(best)], weights[item, best])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("itemknn", {}),
        ("ease", {"l2": 5.0}),
        ("ials", {"embedding_size": 4}),
        ("bpr", SMALL | {"batch_size": 64}),
        ("lightgcn", SMALL | {"batch_size": 64}),
    ],
)
def test_the_nearest_items_are_of_the_same_taste(name, settings):
    split = two_tastes()
    fitted = model(name, **settings)
    fitted.fit(split.train, split.valid)
    items = np.arange(split.train.n_items, dtype=np.int32)
    taste = split.train.items["item_id"].to_numpy() % 2
    found, _ = neighbours(fitted, items, k=3)
    there = found >= 0
    assert (taste[found] == taste[:, None])[there].mean() > 0.8


def test_a_model_without_vectors_or_weights_says_so_and_names_those_that_can():
    fitted = model("popularity")
    fitted.fit(two_tastes().train)
    with pytest.raises(ConfigError, match=r"popularity: keeps neither .* bpr, lightgcn"):
        neighbours(fitted, [0])
