"""Truncated and re-weighted losses by hand, hard samples from losses, and both models on a small world."""

import numpy as np
import pytest
import torch
from recloop.errors import DataError
from recloop.recsys.denoising.hard_samples import candidates, losses_by_epoch
from recloop.recsys.denoising.robust import RobustGRU4Rec, RobustSASRec, dropped, target_losses, trust
from recloop.recsys.models.contract import RecommenderContract
from recloop.recsys.models.lightgcn import LightGCNConfig
from recloop.recsys.models.sasrec import SASRec, SASRecConfig

from tests.recsys.denoising.worlds import tastes

SMALL = {"epochs": 25, "embedding_size": 8, "batch_size": 16, "dropout": 0.1, "learning_rate": 5e-3, "max_length": 8}


class TestTruncated(RecommenderContract):
    def make(self, **hyperparameters: object) -> RobustSASRec:
        return RobustSASRec(RobustSASRec.Config(**(SMALL | hyperparameters)))  # type: ignore[arg-type]


class TestReweighted(RecommenderContract):
    def make(self, **hyperparameters: object) -> RobustGRU4Rec:
        small = SMALL | {"hidden_size": 8, "learning_rate": 1e-2}
        return RobustGRU4Rec(RobustGRU4Rec.Config(rule="reweight", **(small | hyperparameters)))  # type: ignore[arg-type]


def test_the_largest_losses_teach_nothing() -> None:
    losses = torch.tensor([1.0, 9.0, 2.0, 8.0])
    assert trust(losses, "truncate", 0.5, 0.0).tolist() == [1, 0, 1, 0]
    assert trust(losses, "truncate", 0.2, 0.0).tolist() == [1, 1, 1, 1]
    assert [dropped(0.2, step, 100) for step in (0, 50, 100, 900)] == [0.0, 0.1, 0.2, 0.2]


def test_the_less_likely_counts_less_and_the_mean_stays_one() -> None:
    weights = trust(torch.tensor([0.0, np.log(4.0)]), "reweight", 0.0, 0.5)
    assert weights.tolist() == pytest.approx([4 / 3, 2 / 3])
    assert trust(torch.tensor([3.0, 5.0]), "reweight", 0.0, 0.0).tolist() == [1, 1]


def test_a_targets_loss_is_that_among_the_items_drawn() -> None:
    data = tastes(users=4)
    network = SASRec(SASRecConfig(embedding_size=8)).build(data).eval()
    n = data.n_items
    inputs = torch.tensor([[0, 1, n], [2, 3, 4]])
    real = inputs != n
    targets = torch.tensor([5, 6, 7, 8, 9])
    states = network(torch.tensor([0, 1]), inputs)
    whole = target_losses(network, states, real, targets, inputs[:, :0])
    wanted = torch.log_softmax(states @ network.items.T, 1)
    torch.testing.assert_close(whole, -wanted[torch.arange(5), targets])
    few = target_losses(network, states, real, targets, torch.tensor([[10, 11], [12, 13]]))
    scores = states @ network.items.T
    for at, (target, drawn) in enumerate(zip(targets, [[10, 11]] * 2 + [[12, 13]] * 3, strict=True)):
        torch.testing.assert_close(few[at], -torch.log_softmax(scores[at, [int(target), *drawn]], 0)[0])


def test_without_a_drop_the_truncated_model_is_the_plain_one() -> None:
    data = tastes(users=10)
    same = {"epochs": 2, "embedding_size": 8, "dropout": 0.0}
    plain, truncated = SASRec(SASRecConfig(**same)), RobustSASRec(RobustSASRec.Config(drop=0.0, **same))
    plain.fit(data)
    truncated.fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(plain.score(users, data), truncated.score(users, data), rtol=1e-5, atol=1e-6)


def test_of_high_losses_those_that_move_are_asked_about() -> None:
    still, moving, low = [3.0, 3.0, 3.0], [5.0, 0.5, 4.0], [0.1, 0.1, 0.1]
    found = candidates(np.array([still, moving, low, low]).T, high=0.5, vary=0.5)
    assert found.suspected.tolist() == [True, True, False, False]
    assert found.candidate.tolist() == [False, True, False, False]
    assert found.flagged.tolist() == [3, 3, 0, 0]
    with pytest.raises(DataError, match="two epochs or more"):
        candidates(np.ones((1, 4)))


def test_losses_by_epoch_fall_and_are_those_of_one_training() -> None:
    data = tastes(users=12)
    config = LightGCNConfig(embedding_size=8, batch_size=32, learning_rate=0.05)
    losses = losses_by_epoch(data, 4, config)
    assert losses.shape == (4, len(data))
    assert losses[-1].mean() < losses[0].mean()
    np.testing.assert_allclose(losses_by_epoch(data, 2, config), losses[:2], rtol=1e-5)
