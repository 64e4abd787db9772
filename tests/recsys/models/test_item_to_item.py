"""Inverted indexes and what is served from them, against brute force."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError
from recloop.recsys.evaluation.ranking import evaluate
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.neighbours import InvertedIndex, index_of, queries, read_index, write_index

SETTINGS = {
    "itemknn": {"weighting": "bm25", "neighbours": 50, "neighbours_of": "history"},
    "swing": {},
    "ease": {"l2": 5.0},
    "bpr": {"epochs": 5, "embedding_size": 8},
    "youtubednn": {"epochs": 3, "embedding_size": 8, "hidden": ()},
}


@pytest.fixture(scope="module")
def split():
    return two_tastes()


class Given:
    """A model of these weights, or these vectors."""

    name = "given"

    def __init__(self, weights):
        self.weights = np.asarray(weights, np.float32)

    def item_weights(self, items):
        return self.weights[items]


class GivenVectors:
    name = "given"

    def __init__(self, vectors):
        self.vectors = np.asarray(vectors, np.float32)

    def item_vectors(self):
        return self.vectors


def brute(weights, k):
    """Item -> [(neighbour, score)] by sorting every row whole."""
    found = {}
    for j, row in enumerate(np.asarray(weights, np.float32).tolist()):
        ranked = sorted(((-s, i) for i, s in enumerate(row) if i != j and s > 0))
        found[j] = [(i, -s) for s, i in ranked[:k]]
    return found


@pytest.mark.parametrize("k", [1, 3, 100])
@pytest.mark.parametrize("scores", [1, 100])
def test_an_index_holds_the_best_of_every_row_ties_by_code(monkeypatch, k, scores):
    monkeypatch.setattr("recloop.recsys.models.neighbours.SCORES", scores)  # one row at a time, and some
    weights = np.random.default_rng(0).integers(-2, 4, (17, 17)) / 2  # many ties, and scores below 0
    index = index_of(Given(weights), k)
    for item, expected in brute(weights, k).items():
        items, found = index.neighbours(item)
        assert list(zip(items.tolist(), found.tolist(), strict=True)) == expected


@pytest.mark.parametrize("like", ["cosine", "dot"])
def test_vectors_are_compared_with_all_others(like):
    vectors = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    vectors[7] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if like == "cosine" else 1
    unit = vectors / np.where(lengths == 0, 1, lengths)
    index = index_of(GivenVectors(vectors), 6, like)
    for item, expected in brute(unit @ unit.T, 6).items():
        items, found = index.neighbours(item)
        assert items.tolist() == [i for i, _ in expected]
        np.testing.assert_allclose(found, [s for _, s in expected], rtol=1e-5)
    assert not len(index.neighbours(7)[0])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_served_score_is_the_sum_over_the_last_items_of_their_lists(split, name):
    k, last, decay = 5, 3, 0.5
    served = model("i2i", model=name, settings=SETTINGS[name], k=k, last=last, decay=decay)
    served.fit(split.train)
    alone = model(name, **SETTINGS[name])
    alone.fit(split.train)
    if hasattr(alone, "item_weights"):
        weights = alone.item_weights(np.arange(split.train.n_items, dtype=np.int32))
    else:
        unit = alone.item_vectors() / np.linalg.norm(alone.item_vectors(), axis=1, keepdims=True)
        weights = unit @ unit.T
    lists = brute(weights, k)
    expected = np.zeros((split.train.n_users, split.train.n_items))
    for user in range(split.train.n_users):
        for age, item in enumerate(split.train.history(user)[::-1][:last].tolist()):
            for neighbour, score in lists[item]:
                expected[user, neighbour] += decay**age * score
    everyone = np.arange(split.train.n_users, dtype=np.int32)
    np.testing.assert_allclose(served.score(everyone, split.train), expected, rtol=1e-4, atol=1e-6)


def test_a_query_is_the_last_items_by_age_and_weight(split):
    data = split.train
    data = data.with_(interactions=data.interactions.assign(weight=np.where(data.item % 2, 0.5, 1).astype(np.float32)))
    asked = queries(np.array([4, 0], np.int32), data, last=2, decay=0.1).toarray()
    newest, before = data.history(4)[-1], data.history(4)[-2]
    expected = np.zeros(data.n_items)
    expected[newest] = 0.5 if newest % 2 else 1
    expected[before] = 0.1 * (0.5 if before % 2 else 1)
    np.testing.assert_allclose(asked[0], expected, rtol=1e-6)


def test_a_row_of_weight_0_takes_no_place_in_the_query(split):
    data = split.train
    last = data.indptr[data.user + 1] - 1 == np.arange(len(data))
    silent = data.with_(interactions=data.interactions.assign(weight=np.where(last, 0, 1).astype(np.float32)))
    served = model("i2i", model="ease", settings={"l2": 5.0}, last=2)
    served.fit(data)
    everyone = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_array_equal(served.score(everyone, silent), served.score(everyone, data.rows(~last)))


def test_an_index_with_every_neighbour_asked_with_everything_is_the_model(split):
    everything = model("i2i", model="ease", settings={"l2": 5.0}, k=24, last=1000)
    ease = model("ease", l2=5.0)
    for one in (everything, ease):
        one.fit(split.train)
    positive = np.where(ease.weights > 0, ease.weights, 0)
    everyone = np.arange(split.train.n_users, dtype=np.int32)
    chosen = np.zeros((split.train.n_users, split.train.n_items), np.float32)
    chosen[split.train.user, split.train.item] = 1
    np.testing.assert_allclose(everything.score(everyone, split.train), chosen @ positive, rtol=1e-4, atol=1e-6)


def test_it_is_judged_like_any_recommender(split):
    served = model("i2i", model="swing", last=3)
    served.fit(split.train)
    # Own taste has 12 items, 6 of them seen in train and one in valid: a random list of the five left has recall .2.
    assert evaluate(served, split, metrics=["recall@1"]).mean("recall@1") > 0.1
    assert evaluate(served, split, metrics=["recall@5"]).mean("recall@5") > 0.9


def test_an_index_read_back_is_the_same(split, tmp_path):
    swing = model("swing")
    swing.fit(split.train)
    index = index_of(swing, 4)
    write_index(index, split.train.items, tmp_path / "index.parquet")
    again = read_index(tmp_path / "index.parquet", split.train.items)
    for field in ("indptr", "items", "scores"):
        np.testing.assert_array_equal(getattr(again, field), getattr(index, field))
    table = pd.read_parquet(tmp_path / "index.parquet")
    assert table["rank"].min() == 1
    assert set(table["item_id"]) <= set(split.train.items["item_id"])


def test_an_index_of_other_items_is_refused(split, tmp_path):
    write_index(
        InvertedIndex(np.array([0, 1, 1]), np.array([1], np.int32), np.ones(1, np.float32)),
        pd.DataFrame({"item_id": ["x", "y"]}),
        tmp_path / "index.parquet",
    )
    with pytest.raises(DataError, match="'x' is not among the items"):
        read_index(tmp_path / "index.parquet", pd.DataFrame({"item_id": ["y", "z"]}))
    (tmp_path / "other.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not an inverted index"):
        read_index(tmp_path / "other.parquet", split.train.items)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "i2i"}, "cannot serve itself"),
        ({"model": "swinf"}, "did you mean 'swing'"),
        ({"model": "swing", "settings": {"alfa": 1}}, "did you mean 'alpha'"),
    ],
)
def test_a_wrong_inner_model_is_refused_with_a_hint(settings, message):
    with pytest.raises(ConfigError, match=message):
        model("i2i", **settings)


def test_a_model_without_item_similarities_cannot_be_served(split):
    with pytest.raises(ConfigError, match="popularity has neither"):
        model("i2i", model="popularity").fit(split.train)


def test_what_the_inner_model_takes_is_declared_but_for_pairs():
    assert model("i2i", model="bpr").accepts == model("bpr").accepts - {"pairs"}
    assert model("i2i", model="swing").accepts == {"weights"}
    assert model("i2i", model="bpr").config.random
    assert not model("i2i", model="ease").config.random
