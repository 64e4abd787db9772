"""Dropout by bytes drops the share it is told and keeps the mean."""

import pytest
import torch
from recloop.recsys.models.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_kept(share):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = Dropout(share)(torch.ones(200_003, 1))
    assert (x == 0).float().mean().item() == pytest.approx(share, abs=0.005)
    assert x.mean().item() == pytest.approx(1.0, abs=0.01)


def test_neighbouring_values_are_dropped_independently():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kept = (Dropout(0.5)(torch.ones(100_000, 8)) > 0).float()
    assert (torch.corrcoef(kept.T) - torch.eye(8)).abs().max() < 0.02


def test_nothing_is_dropped_when_scoring():
    x = torch.ones(100)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
