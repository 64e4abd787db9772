"""Swing against its definition, pair by pair, and the paper's worked example."""

import itertools
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recloop.recsys.data.atomic import read_atomic
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation.ranking import evaluate
from recloop.recsys.models import model
from recloop.recsys.models.swing import SwingConfig, strengths, swings


def dataset(rows):
    return Dataset.of("made", pd.DataFrame(rows, columns=["user_id", "item_id", "weight"]))


def some(users=30, items=20, seed=0, weights=False):
    rng = np.random.default_rng(seed)
    pairs = [(u, i) for u in range(users) for i in range(items) if rng.random() < 0.3]
    return dataset([(u, i, rng.choice([0.25, 1.0, 2.0]) if weights else 1.0) for u, i in pairs])


def naive(data, alpha, beta):
    """Eq. 2 loop by loop, a pair of users once."""
    strength = {}
    for u, i, r in zip(data.user.tolist(), data.item.tolist(), data.weight.tolist(), strict=True):
        strength.setdefault(u, {})[i] = r
    found = np.zeros((data.n_items, data.n_items))
    for u, v in itertools.combinations(strength, 2):
        shared = strength[u].keys() & strength[v].keys()
        overlap = sum(strength[u][k] * strength[v][k] for k in shared)
        lively = (sum(strength[u].values()) * sum(strength[v].values())) ** -beta
        for i, j in itertools.permutations(shared, 2):
            edges = strength[u][i] * strength[u][j] * strength[v][i] * strength[v][j]
            found[i, j] += edges * lively / (alpha + overlap)
    return found


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (0.0, 0.0), (5.0, 1.0)])
@pytest.mark.parametrize("weights", [False, True])
def test_it_is_what_a_naive_loop_over_pairs_of_users_gives(alpha, beta, weights):
    data = some(weights=weights)
    swing = model("swing", alpha=alpha, beta=beta, neighbours=100)
    swing.fit(data)
    np.testing.assert_allclose(swing.similarity.toarray(), naive(data, alpha, beta), rtol=1e-6, atol=1e-12)


def test_cutting_the_work_into_blocks_changes_nothing(monkeypatch):
    data = some(users=50)
    whole, cut = model("swing"), model("swing")
    whole.fit(data)
    monkeypatch.setattr("recloop.recsys.models.swing.PAIRS", 60)
    monkeypatch.setattr("recloop.recsys.models.swing.ROWS", 7)
    cut.fit(data)
    np.testing.assert_allclose(cut.similarity.toarray(), whole.similarity.toarray(), rtol=1e-6)


def test_the_worked_example_of_the_paper():
    data = dataset([(u, i, 1) for u, items in {"A": "htrp", "B": "htrp", "C": "hpq"}.items() for i in items])
    # The example leaves the item itself out of the overlap, so alpha is 0 where it says 1.
    swing = model("swing", alpha=0, beta=0)
    swing.fit(data)
    ids = data.items["item_id"].tolist()
    of_h = dict(zip(ids, swing.similarity.toarray()[ids.index("h")].tolist(), strict=True))
    assert of_h == pytest.approx({"h": 0, "t": 1 / 4, "r": 1 / 4, "p": 1 / 4 + 1 / 2 + 1 / 2, "q": 0})


def test_the_best_neighbours_are_kept_best_first():
    data = some()
    full = naive(data, 1.0, 0.5)
    swing = model("swing", neighbours=4)
    swing.fit(data)
    for item in range(data.n_items):
        row = swing.similarity[item]
        expected = np.lexsort((np.arange(data.n_items), -full[item]))[:4]
        assert row.indices.tolist() == [j for j in expected.tolist() if full[item, j] > 0]


def test_a_repeated_pair_counts_once():
    once = dataset([(1, "a", 1), (1, "b", 1), (2, "a", 1), (2, "b", 1)])
    twice = dataset([(1, "a", 1), (1, "b", 1), (2, "a", 1), (2, "b", 1), (2, "b", 1)])
    first, second = model("swing"), model("swing")
    first.fit(once)
    second.fit(twice)
    np.testing.assert_array_equal(first.similarity.toarray(), second.similarity.toarray())


def test_of_an_item_with_many_users_a_sample_is_compared():
    data = some(users=60, items=8)
    sampled, again, other = (swings_of(data, 20, seed) for seed in (3, 3, 4))
    assert (sampled != again).nnz == 0
    assert (sampled != other).nnz > 0
    full = swings_of(data, None, 3)
    assert 0 < sampled.sum() < full.sum()
    # An item's row is Swing among its own drawn users: nothing in it can exceed the full sum.
    assert (sampled.toarray() <= full.toarray() + 1e-6).all()


def swings_of(data, max_users, seed):
    return swings(strengths(data), SwingConfig(max_users=max_users), seed)


def test_figures_on_movielens_100k_are_what_an_independent_run_gives(shared_data):
    folder = shared_data / "ml-100k"
    split = given(read_movielens(folder), folder / "loo" / "valid.tsv", folder / "loo" / "test.tsv")
    swing = model("swing", alpha=1.0, beta=0.5, neighbours=100, refit=True)
    swing.fit(split.train, split.valid)
    judged = evaluate(swing, split)
    assert judged.mean("recall@10") == pytest.approx(0.1145, abs=0.0005)
    assert judged.mean("ndcg@10") == pytest.approx(0.0569, abs=0.0005)


@pytest.mark.slow
def test_440000_interactions_take_less_than_a_minute_and_4_gb(shared_data: Path):
    data = read_atomic(shared_data / "amazon-games")
    assert len(data) > 430_000
    began = time.monotonic()
    model("swing").fit(data)
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 2**20  # KiB on Linux
