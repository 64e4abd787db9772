"""EASE and iALS are the optima they claim to be, and reach the figures known for them on real data."""

import numpy as np
import pytest
from recloop.errors import ConfigError
from recloop.recsys.data.movielens import read_movielens
from recloop.recsys.data.splits import given
from recloop.recsys.evaluation.ranking import evaluate
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes


@pytest.fixture(scope="module")
def train():
    return two_tastes().train


def matrix(data):
    dense = np.zeros((data.n_users, data.n_items))
    np.add.at(dense, (data.user, data.item), data.weight)
    return dense


def test_no_weight_of_ease_can_be_changed_for_the_better(train):
    """At the optimum of |X - XB|^2 + l2 |B|^2 with zero diagonal the gradient off the diagonal is 0."""
    ease = model("ease", l2=7.0)
    ease.fit(train)
    x, b = matrix(train), ease.weights.astype(np.float64)
    assert (np.diag(b) == 0).all()
    gradient = x.T @ (x @ b - x) + 7.0 * b
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-4)


def test_ease_scores_the_history_it_is_given(train):
    ease = model("ease", l2=7.0)
    ease.fit(train)
    early = train.rows(np.arange(len(train)) - train.indptr[train.user] < 2)
    users = np.array([3, 8], np.int32)
    np.testing.assert_allclose(ease.score(users, early), (matrix(early) @ ease.weights)[users], rtol=1e-5, atol=1e-6)


def test_ease_refuses_a_catalogue_that_does_not_fit(train):
    with pytest.raises(ConfigError, match=r"ease: 24 items need a matrix of .* GB"):
        model("ease", max_items=23).fit(train)


@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_a_user_of_ials_is_solved_for_exactly(train, alpha):
    ials = model("ials", embedding_size=4, alpha=alpha, l2=0.3)
    ials.fit(train)
    y, chosen = ials.items.astype(np.float64), matrix(train)[5] > 0
    confidence = np.where(chosen, alpha, 1.0)
    x = np.linalg.solve((y.T * confidence) @ y + 0.3 * np.eye(4), (y.T * confidence) @ chosen)
    np.testing.assert_allclose(ials.score(np.array([5], np.int32), train)[0], y @ x, rtol=1e-3, atol=1e-4)


def test_ials_starts_elsewhere_with_another_seed(train):
    made = []
    for seed in (0, 1):
        ials = model("ials", embedding_size=4, epochs=1)
        ials.fit(train, None, FitContext(seed=seed))
        made.append(ials.items)
    assert not np.allclose(*made)


@pytest.mark.parametrize(("name", "least"), [("ease", 0.0700), ("ials", 0.0700)])
def test_ndcg_on_movielens_100k_is_at_least_what_independent_runs_give(shared_data, name, least):
    folder = shared_data / "ml-100k"
    split = given(read_movielens(folder), folder / "loo" / "valid.tsv", folder / "loo" / "test.tsv")
    learner = model(name)
    learner.fit(split.train)
    assert evaluate(learner, split).mean("ndcg@10") >= least
