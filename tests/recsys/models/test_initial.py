"""Initial embeddings keep the geometry of the vectors and the scale of the usual start."""

import numpy as np
import pytest
import torch
from recloop.errors import DataError
from recloop.recsys.models.initial_vectors import Axes, start_from


def test_axes_are_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 3)) * [0.1, 5.0, 1.0]).astype(np.float32)
    axes = Axes.of(vectors, 2)
    np.testing.assert_allclose(np.abs(axes.directions), [[0, 0], [1, 0], [0, 1]], atol=0.05)


def test_rows_of_zeros_do_not_count_and_keep_their_random_start():
    vectors = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32) + 3
    holes = np.concatenate([vectors, np.zeros((5, 4), np.float32)])
    np.testing.assert_allclose(Axes.of(holes, 4).mean, vectors.mean(0), rtol=1e-5)
    table = torch.randn(15, 4, generator=torch.Generator().manual_seed(0))
    before = table.clone()
    start_from(table, holes, Axes.of(holes, 4))
    assert torch.equal(table[10:], before[10:])
    assert not torch.isclose(table[:10], before[:10]).all(1).any()


def test_distances_survive_where_the_size_suffices():
    vectors = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)
    table = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)) * 0.02
    start_from(table, vectors, Axes.of(vectors, 8))
    made = table[:, :5].numpy()
    distance = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    assert np.corrcoef(distance(vectors).ravel(), distance(made).ravel())[0, 1] > 0.9999
    assert made.std() == pytest.approx(0.02, rel=0.3)


def test_fewer_axes_than_columns_leave_the_rest_random():
    vectors = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    table = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    before = table.clone()
    start_from(table, vectors, Axes.of(vectors, 6))
    assert torch.equal(table[:, 2:], before[:, 2:])


@pytest.mark.parametrize("vectors", [np.zeros((4, 3)), np.ones((4, 3))])
def test_vectors_that_say_nothing_change_nothing(vectors):
    vectors = vectors.astype(np.float32)
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before = table.clone()
    start_from(table, vectors, Axes.of(vectors, 3))
    assert torch.equal(table, before)


def test_another_number_of_vectors_than_rows_is_refused():
    vectors = np.ones((5, 3), np.float32)
    with pytest.raises(DataError, match="5 initial vectors for 4 rows"):
        start_from(torch.zeros(4, 3), vectors, Axes.of(vectors, 3))
