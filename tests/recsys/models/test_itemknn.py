"""ItemKNN's similarities by hand, its two readings of "neighbours", and its figures on real data."""

import numpy as np
import pandas as pd
import pytest
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation.ranking import evaluate
from recloop.recsys.models import model


def dataset(rows):
    return Dataset.of("made", pd.DataFrame(rows, columns=["user_id", "item_id", "weight"]))


@pytest.fixture
def three():
    """Items a, b, c chosen by users {1, 2}, {1, 2, 3}, {3}."""
    return dataset([(1, "a", 1), (1, "b", 1), (2, "a", 1), (2, "b", 1), (3, "b", 1), (3, "c", 1)])


def test_cosine_of_shared_users(three):
    knn = model("itemknn", weighting="cosine", neighbours=3)
    knn.fit(three)
    scores = knn.score(np.array([0, 2], np.int32), three)
    ab, bc = 2 / np.sqrt(2 * 3), 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(scores[0], [1 + ab, ab + 1, bc], rtol=1e-6)  # a user of a and b
    np.testing.assert_allclose(scores[1], [ab, 1 + bc, bc + 1], rtol=1e-6)  # a user of b and c


def test_tf_idf_plays_down_users_who_choose_much():
    rows = [(u, i, 1) for u, items in enumerate(["ab", "bcdefg", "bcdefg", "h", "i"]) for i in items]
    data = dataset(rows)
    similar = {}
    for weighting in ("cosine", "tfidf"):
        knn = model("itemknn", weighting=weighting, neighbours=9)
        knn.fit(data)
        a, b, c = (data.items["item_id"].tolist().index(x) for x in "abc")
        row = knn.similarity.toarray()[b]
        similar[weighting] = row[a] / row[c]
    assert similar["tfidf"] > similar["cosine"]


def test_a_weight_multiplies_the_entry_of_the_matrix(three):
    heavy = three.with_(interactions=three.interactions.assign(weight=np.float32([1, 2, 1, 1, 1, 1])))
    knn = model("itemknn", weighting="cosine", neighbours=3)
    knn.fit(heavy)
    # a = (1, 1, 0), b = (2, 1, 1) over users 1, 2, 3
    np.testing.assert_allclose(knn.similarity.toarray()[0, 1], 3 / np.sqrt(2 * 6), rtol=1e-6)


def test_neighbours_of_the_candidate_or_of_the_history():
    # a is like b alone, but b is more like c: with two neighbours an item (itself and one more) b does not keep a.
    data = dataset([(1, "a", 1), (1, "b", 1), *((u, i, 1) for u in (2, 3, 4) for i in "bc")])
    a, b = 0, 1
    kept = {}
    for whose in ("candidate", "history"):
        knn = model("itemknn", weighting="cosine", neighbours=2, neighbours_of=whose)
        knn.fit(data)
        kept[whose] = knn.similarity.toarray()
    assert kept["candidate"][b, a] > 0  # a's own neighbours hold b, so a history with b recommends a
    assert kept["history"][b, a] == 0
    np.testing.assert_allclose(kept["candidate"], kept["history"].T)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"weighting": "tfidf", "neighbours_of": "history"}, 0.0617),
        ({"weighting": "cosine", "neighbours_of": "history"}, 0.0580),
        ({"weighting": "cosine", "neighbours_of": "candidate"}, 0.0706),
    ],
)
def test_ndcg_on_movielens_100k_is_what_independent_runs_give(shared_data, settings, expected):
    folder = shared_data / "ml-100k"
    split = given(read_movielens(folder), folder / "loo" / "valid.tsv", folder / "loo" / "test.tsv")
    knn = model("itemknn", neighbours=20, **settings)
    knn.fit(split.train)
    assert evaluate(knn, split).mean("ndcg@10") == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (100.0, 0.5), (2.0, 0.0)])
def test_bm25_is_what_a_naive_loop_gives(k1, b):
    """BM25 with an item for a document and a user for a term, as `implicit` weighs it, then dot products of items."""
    rng = np.random.default_rng(0)
    data = dataset([(u, i, float(rng.integers(1, 4))) for u in range(12) for i in range(9) if rng.random() < 0.5])
    counts = {}
    for u, i, r in zip(data.user.tolist(), data.item.tolist(), data.weight.tolist(), strict=True):
        counts.setdefault(i, {})[u] = r
    sizes = {i: sum(of.values()) for i, of in counts.items()}
    mean_size = sum(sizes.values()) / len(sizes)
    documents = {u: sum(u in of for of in counts.values()) for u in range(data.n_users)}
    weight = {
        (i, u): r * (k1 + 1) / (k1 * (1 - b + b * sizes[i] / mean_size) + r)
        * (np.log(len(counts)) - np.log1p(documents[u]))
        for i, of in counts.items()
        for u, r in of.items()
    }  # fmt: skip
    expected = np.zeros((data.n_items, data.n_items))
    for i in counts:
        for j in counts:
            expected[i, j] = sum(weight[i, u] * weight[j, u] for u in counts[i].keys() & counts[j].keys())
    knn = model("itemknn", weighting="bm25", neighbours=9, k1=k1, b=b)
    knn.fit(data)
    np.testing.assert_allclose(knn.similarity.toarray(), expected, rtol=1e-4, atol=1e-6)
