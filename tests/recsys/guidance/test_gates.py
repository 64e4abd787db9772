"""Gates: the paper's can only close, ours opens where the LLM was right; the forms of the loss by hand."""

import numpy as np
import pandas as pd
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.guidance import PairScores
from recloop.recsys.guidance.forms import distilled, hinge, logistic, pointwise
from recloop.recsys.guidance.gates import Gate, fitted_gate
from recloop.recsys.guidance.inputs import standardised, uncertainty
from recloop.recsys.guidance.truth import apart, truth_pairs


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0, 5))
def test_the_papers_loss_never_falls_when_a_pair_is_heard_more(differences, margin):
    """dL/dalpha = hinge / n >= 0 for every pair, whatever the scores: closing is all that the gate gains by."""
    difference = torch.tensor(differences)
    alpha = torch.full_like(difference, 0.5, requires_grad=True)
    (alpha * hinge(difference, margin)).mean().backward()
    assert (alpha.grad >= 0).all()


def test_descent_on_the_papers_gate_closes_it():
    gate = Gate("paper", torch.rand(50, 3), 1, 0.5)
    descent, rows = torch.optim.SGD(gate.parameters(), 0.5), torch.arange(50)
    difference, means = torch.randn(50), []
    for _ in range(200):
        alpha = gate(rows)
        means.append(float(alpha.detach().mean()))
        descent.zero_grad()
        (gate.heard(alpha) * hinge(difference, 1.0)).mean().backward()
        descent.step()
    assert means[0] == 0.5
    assert (np.diff(means) < 0).all()
    assert means[-1] < 0.1


def test_a_normalised_gate_keeps_its_mean_whatever_it_learns():
    gate = Gate("normalised", torch.randn(40, 2), 1, 0.3)
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([2.0, -3.0]))
        gate.bias.fill_(-4.0)
    heard = gate.heard(gate(torch.arange(40)))
    assert abs(heard.mean().item() - 0.3) < 1e-6
    assert heard.std().item() > 0.05


def test_a_word_that_is_right_half_the_time_is_not_heard():
    gate = Gate("held_out", torch.zeros(1, 1), 1, 0.5)
    heard = gate.heard(torch.tensor([0.2, 0.5, 0.75, 1.0]))
    assert heard.tolist() == [0.0, 0.0, 0.5, 1.0]


def test_the_gate_is_fitted_to_where_the_llm_was_right():
    rng = np.random.default_rng(0)
    good = rng.random(600) < 0.5
    inputs = torch.tensor(np.stack([good, rng.random(600)], 1), dtype=torch.float32)
    right = torch.tensor(np.where(good, rng.random(600) < 0.9, rng.random(600) < 0.3), dtype=torch.float32)
    weight, bias = fitted_gate(inputs, inputs, right, torch.ones(600), 1.0, torch.zeros(3))
    chance = torch.sigmoid(inputs @ weight + bias).numpy()
    assert abs(chance[good].mean() - 0.9) < 0.05
    assert abs(chance[~good].mean() - 0.3) < 0.06


def test_forms_by_hand():
    difference = torch.tensor([2.0, 0.25, -1.0])
    assert hinge(difference, 1.0).tolist() == [0.0, 0.75, 2.0]
    torch.testing.assert_close(logistic(difference, 0.0), torch.log1p(torch.exp(-difference)))
    torch.testing.assert_close(pointwise(torch.tensor([0.0]), torch.tensor([0.9])), torch.tensor([0.16]))
    told, group = torch.tensor([0.2, 0.4, 0.1, 0.9]), torch.tensor([0, 0, 1, 1])
    apart_ = distilled(torch.zeros(4), told, group, 2, 1.0)
    teacher = torch.softmax(told[:2], 0)
    torch.testing.assert_close(apart_[0], (teacher * (teacher * 2).log()).sum())
    same = distilled(told + torch.tensor([3.0, 3.0, -1.0, -1.0]), told, group, 2, 1.0)
    torch.testing.assert_close(same, torch.zeros(2), atol=1e-6, rtol=0)


def test_uncertainty_is_highest_where_the_model_cannot_say():
    chance = torch.tensor([0.5, 0.9, 0.01])
    torch.testing.assert_close(uncertainty(chance, "probability"), torch.tensor([1.0, 0.2, 0.02]))
    entropy = uncertainty(chance, "entropy")
    assert entropy[0] == 1.0
    assert entropy[0] > entropy[1] > entropy[2] > 0
    torch.testing.assert_close(uncertainty(torch.tensor([[0.0, 0.3], [1.0, 0.3]]), "dropout"), torch.tensor([1.0, 0.0]))


def test_unknown_inputs_stand_at_the_mean():
    np.testing.assert_allclose(standardised(np.array([1.0, np.nan, 3.0])), [-1, 0, 1])
    assert not standardised(np.array([np.nan, np.nan])).any()


def log(rows):
    data = Dataset.of("log", pd.DataFrame([(u, i) for u in range(3) for i in range(6)], columns=["user_id", "item_id"]))
    kept = set(rows)
    return data.rows(np.array([(u, i) in kept for u, i in zip(data.user.tolist(), data.item.tolist(), strict=True)]))


def test_truth_is_what_was_taken_later_against_what_never_was():
    train, later = log([(0, 0), (1, 1)]), log([(0, 1), (2, 5)])
    scores = PairScores.of(
        pd.DataFrame(
            [(0, 0, 0.1), (0, 1, 0.5), (0, 2, 0.9), (0, 3, 0.2), (0, 4, 0.5), (1, 2, 0.3), (1, 3, 0.8)],
            columns=["user", "item", "score"],
        )
    )
    pairs = truth_pairs(scores, train, later)
    assert scores.item[pairs.taken].tolist() == [1, 1, 1]
    assert scores.item[pairs.other].tolist() == [2, 3, 4]
    assert pairs.right.tolist() == [0.0, 1.0, 0.5]
    assert abs(pairs.weight.sum() - 1) < 1e-6
    assert pairs.agreement() == 0.5
    assert len(truth_pairs(scores, train, later, least_gap=0.35)) == 1


def test_users_of_the_gate_do_not_choose_the_model():
    valid = log([(0, 1), (0, 2), (1, 1), (2, 3)])
    chooses, fits = apart(valid, 0.5, 0)
    assert not set(chooses.user) & set(fits.user)
    assert len(chooses) + len(fits) == len(valid)
    assert len(np.unique(fits.user)) == 2
