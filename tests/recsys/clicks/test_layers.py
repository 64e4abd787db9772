"""The interactions of each paper against values worked out by hand."""

from itertools import combinations

import pytest
import torch
from recloop.recsys.clicks.autoint import Interacting
from recloop.recsys.clicks.dcn import Cross
from recloop.recsys.clicks.dcnv2 import MatrixCross
from recloop.recsys.clicks.din import Interest
from recloop.recsys.clicks.fm import pairwise
from recloop.recsys.clicks.xdeepfm import Interactions


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_the_linear_time_formula_is_the_sum_over_pairs():
    vectors = torch.randn(5, 6, 4)
    expected = sum((vectors[:, i] * vectors[:, j]).sum(1) for i, j in combinations(range(6), 2))
    torch.testing.assert_close(pairwise(vectors), expected)


def test_a_cross_layer_is_the_papers():
    """x_1 = x_0 (x_0 . w) + b + x_0 with x_0 = (1, 2), w = (3, -1), b = (.5, 0); then the same again from x_1."""
    cross = Cross(2, 2)
    with torch.no_grad():
        cross.weight.copy_(torch.tensor([[3.0, -1.0], [0.0, 1.0]]))
        cross.bias.copy_(torch.tensor([[0.5, 0.0], [0.0, 1.0]]))
    # x_0 . w_1 = 1, so x_1 = (2.5, 4); x_1 . w_2 = 4, so x_2 = (1, 2) * 4 + (0, 1) + (2.5, 4).
    torch.testing.assert_close(cross(torch.tensor([[1.0, 2.0]])), torch.tensor([[6.5, 13.0]]))


def test_a_matrix_cross_layer_is_the_papers():
    """x_1 = x_0 * (W x_0 + b) + x_0 with W = ((1, 2), (0, -1)), b = (1, 0)."""
    cross = MatrixCross(2, 1, 0)
    with torch.no_grad():
        cross.layers[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        cross.layers[0].bias.copy_(torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(cross(torch.tensor([[3.0, 4.0]])), torch.tensor([[3 * 12.0 + 3, 4 * -4.0 + 4]]))


def test_a_low_rank_cross_is_the_product_of_its_two_maps():
    low, full = MatrixCross(5, 1, 2), MatrixCross(5, 1, 0)
    narrow, wide = low.layers[0]
    with torch.no_grad():
        full.layers[0].weight.copy_(wide.weight @ narrow.weight)
        full.layers[0].bias.copy_(wide.bias)
    x = torch.randn(3, 5)
    torch.testing.assert_close(low(x), full(x))


def test_the_compressed_interactions_are_the_sums_of_the_paper():
    vectors = torch.randn(2, 3, 4)
    cin = Interactions(3, (2, 5))
    first = cin.layers[0].weight.view(2, 3, 3)
    second = cin.layers[1].weight.view(5, 2, 3)
    one = torch.stack(
        [sum(first[h, i, j] * vectors[:, i] * vectors[:, j] for i in range(3) for j in range(3)) for h in range(2)], 1
    )
    two = torch.stack(
        [sum(second[h, i, j] * one[:, i] * vectors[:, j] for i in range(2) for j in range(3)) for h in range(5)], 1
    )
    torch.testing.assert_close(cin(vectors), torch.cat([one.sum(2), two.sum(2)], 1))


def test_a_field_attends_to_the_fields_as_the_paper_says():
    layer = Interacting(3, heads=2, size=4)
    fields = torch.randn(1, 5, 3)
    query, key, value, residual = (m.view(2, 4, 3) for m in layer.project.weight.chunk(4))
    for m in range(5):
        heads = []
        for h in range(2):
            odds = torch.stack([(query[h] @ fields[0, m]) @ (key[h] @ fields[0, k]) for k in range(5)]).softmax(0)
            mixed = sum(odds[k] * (value[h] @ fields[0, k]) for k in range(5))
            heads.append(mixed + residual[h] @ fields[0, m])
        torch.testing.assert_close(layer(fields)[0, m], torch.cat(heads).relu())


def test_an_interest_is_the_weighted_sum_of_the_liked_items_and_weights_are_not_normalised():
    interest = Interest(3, 5)
    item, history = torch.randn(2, 3), torch.randn(3, 3)
    real = torch.tensor([[True, True], [True, False]])
    both = interest(item, history, real)
    of = [(0, 0), (0, 1), (1, 2)]
    expected = torch.zeros(2, 3)
    for row, place in of:
        t, h = item[row], history[place]
        unit = interest.activation(interest.first(torch.cat([h, t, h - t, h * t])))
        expected[row] += interest.out(unit) * h
    torch.testing.assert_close(both, expected)
    twice = interest(item[:1], history[[0, 0]], torch.tensor([[True, True]]))
    torch.testing.assert_close(twice, 2 * interest(item[:1], history[[0]], torch.tensor([[True]])))


def test_a_row_without_liked_items_has_no_interest():
    assert not Interest(3, 5)(torch.randn(2, 3), torch.empty(0, 3), torch.zeros(2, 4, dtype=torch.bool)).any()
