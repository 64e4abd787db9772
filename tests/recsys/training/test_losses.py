"""Losses by values worked out by hand, then by properties that hold for all numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from recloop.recsys.training import losses

SCORES = st.floats(-8, 8, width=32)


def column(n):
    return arrays(np.float32, n, elements=SCORES).map(torch.from_numpy)


def weights(n):
    return arrays(np.float32, n, elements=st.floats(0.125, 4, width=32)).map(torch.from_numpy)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_bpr_of_a_margin_of_log_3_is_log_four_thirds():
    # sigmoid(log 3) = 3/4
    loss = losses.bpr(torch.tensor([math.log(3.0)]), torch.tensor([0.0]))
    assert loss.item() == pytest.approx(math.log(4 / 3))


def test_bpr_weighs_its_rows():
    positive, negative = torch.tensor([math.log(3.0), 0.0]), torch.zeros(2)
    loss = losses.bpr(positive, negative, torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 4)


def test_softmax_of_logits_1_2_5_over_their_sum():
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    assert losses.softmax(logits, torch.tensor([2])).item() == pytest.approx(math.log(8 / 5))


def test_sampled_softmax_ranks_the_positive_among_its_negatives():
    positive, negative = torch.tensor([5.0]).log(), torch.tensor([[1.0, 2.0]]).log()
    assert losses.sampled_softmax(positive, negative).item() == pytest.approx(math.log(8 / 5))


def test_gbce_by_hand():
    # 2 of the 4 other items are drawn: rate 1/2; calibration 1/2: beta = 1/2 (1/2 (1 - 2) + 2) = 3/4
    positive, negative = torch.tensor([math.log(3.0)]), torch.tensor([[0.0, -math.log(3.0)]])
    expected = (0.75 * math.log(4 / 3) + math.log(2) + math.log(4 / 3)) / 3
    assert losses.gbce(positive, negative, n_items=5, calibration=0.5).item() == pytest.approx(expected)


def test_gbce_without_calibration_is_binary_cross_entropy():
    positive, negative = drawn(6), drawn(6, 3)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.cat([positive[:, None], negative], 1), torch.tensor([[1.0, 0, 0, 0]]).expand(6, 4)
    )
    torch.testing.assert_close(losses.gbce(positive, negative, n_items=50, calibration=0.0), plain)


def test_gbce_that_draws_every_item_is_binary_cross_entropy_whatever_the_calibration():
    positive, negative = drawn(6), drawn(6, 3)
    one, other = (losses.gbce(positive, negative, n_items=4, calibration=t) for t in (0.0, 1.0))
    torch.testing.assert_close(one, other)


@settings(deadline=None)
@given(column(5), column(5))
def test_bpr_falls_when_positives_rise_and_is_log_2_where_scores_are_equal(positive, negative):
    assert losses.bpr(positive + 1, negative) < losses.bpr(positive, negative)
    assert losses.bpr(positive, positive).item() == pytest.approx(math.log(2), abs=1e-6)


@settings(deadline=None)
@given(column(5), column(5), weights(5), st.integers(0, 4))
def test_a_row_of_weight_0_is_as_good_as_absent(positive, negative, weight, gone):
    weight[gone] = 0
    rest = torch.arange(5) != gone
    torch.testing.assert_close(
        losses.bpr(positive, negative, weight), losses.bpr(positive[rest], negative[rest], weight[rest])
    )


@settings(deadline=None)
@given(column(5), column(5), weights(5))
def test_only_the_proportions_of_weights_matter(positive, negative, weight):
    torch.testing.assert_close(losses.bpr(positive, negative, weight), losses.bpr(positive, negative, weight * 0.5))
    ones = torch.ones(5)
    torch.testing.assert_close(losses.bpr(positive, negative, ones), losses.bpr(positive, negative))


def test_a_batch_whose_weights_are_all_0_teaches_nothing():
    positive = torch.ones(3, requires_grad=True)
    losses.bpr(positive, torch.zeros(3), torch.zeros(3)).backward()
    assert positive.grad.abs().sum() == 0


@settings(deadline=None)
@given(
    arrays(np.float32, (4, 3), elements=SCORES).map(torch.from_numpy),
    arrays(np.float32, (7, 3), elements=SCORES).map(torch.from_numpy),
    arrays(np.int64, 4, elements=st.integers(0, 6)).map(torch.from_numpy),
    weights(4),
    st.sampled_from([1, 7, 14, 1000]),
)
def test_the_softmax_over_a_catalogue_is_the_plain_one_in_value_and_gradient(states, items, target, weight, held):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "LOGITS_CPU", held)
        made = []
        for loss in (
            lambda s, i: losses.softmax(s @ i.T, target, weight),
            lambda s, i: losses.catalogue_softmax(s, i, target, weight),
        ):
            s, i = states.clone().requires_grad_(), items.clone().requires_grad_()
            value = loss(s, i)
            (2 * value).backward()
            made.append((value.detach(), s.grad, i.grad))
    for plain, blocked in zip(*made, strict=True):
        torch.testing.assert_close(blocked, plain, rtol=1e-4, atol=1e-5)


def test_the_softmax_over_a_catalogue_survives_scores_that_overflow_exp():
    states, items = torch.tensor([[1000.0]], requires_grad=True), torch.tensor([[1.0], [-1.0]])
    loss = losses.catalogue_softmax(states, items, torch.tensor([1]))
    assert loss.item() == pytest.approx(2000.0)
