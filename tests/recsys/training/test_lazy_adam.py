"""Adam on touched rows alone: torch's own steps where all are touched, and an untouched row stays where it was."""

import numpy as np
import pytest
import torch
from recloop.errors import ConfigError
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.training.lazy_adam import LazyAdam
from torch import nn


def walked(kind, sparse=True, steps=5, touched=(0, 2, 2, 5, 6)):
    generator = torch.Generator().manual_seed(0)
    table = nn.Parameter(torch.randn(9, 3, generator=generator))
    bias = nn.Parameter(torch.randn(9, generator=generator))
    adam = kind([table, bias], lr=0.1)
    for _ in range(steps):
        rows = torch.tensor(touched)
        adam.zero_grad()
        picked = nn.functional.embedding(rows, table, sparse=sparse).pow(3).sum(1)
        (picked * bias.gather(0, rows, sparse_grad=sparse)).sum().backward()
        adam.step()
    return table.detach(), bias.detach()


def test_where_every_row_is_touched_it_takes_the_steps_of_adam():
    every = (*range(9), 3, 3)
    for ours, theirs in zip(
        walked(LazyAdam, touched=every), walked(torch.optim.Adam, False, touched=every), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_row_without_gradient_stays_where_it_was():
    before, after = walked(LazyAdam, steps=0)[0], walked(LazyAdam)[0]
    assert torch.equal(before[[1, 3, 4, 7, 8]], after[[1, 3, 4, 7, 8]])
    assert not torch.isclose(before[[0, 2, 5, 6]], after[[0, 2, 5, 6]]).all(1).any()


def test_lazy_bpr_has_the_loss_and_gradients_of_bpr():
    split = two_tastes()
    gradients = []
    for lazy in (False, True):
        bpr = model("bpr", embedding_size=4, batch_size=32, l2=0.1, lazy=lazy)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = bpr.build(split.train)
        nn.init.normal_(network.bias, generator=torch.Generator().manual_seed(1))
        (term,) = bpr.terms(network, split.train)
        batch = next(iter(term.batches(np.random.default_rng(0))))
        loss = term.loss(*(torch.as_tensor(array) for array in batch))
        loss.backward()
        gradients.append([loss.detach(), *(p.grad.to_dense() for p in network.parameters())])
    for dense, sparse in zip(*gradients, strict=True):
        torch.testing.assert_close(dense, sparse)


def test_lazy_bpr_learns_taste_and_goes_on_after_a_kill(tmp_path):
    split = two_tastes()
    small = {"embedding_size": 8, "batch_size": 64, "learning_rate": 0.03, "lazy": True}
    whole, begun, resumed = (model("bpr", epochs=epochs, **small) for epochs in (6, 3, 6))
    whole.fit(split.train)
    for one in (begun, resumed):
        one.fit(split.train, None, FitContext(folder=tmp_path))
    for one, other in zip(whole.state().values(), resumed.state().values(), strict=True):
        np.testing.assert_array_equal(one, other)
    users = np.arange(40, dtype=np.int32)
    own = (split.train.items["item_id"].to_numpy() % 2)[None] == (users % 2)[:, None]
    scores = whole.score(users, split.train)
    assert scores[own].mean() > scores[~own].mean() + 0.5


@pytest.mark.parametrize("other", [{"clip": 1.0}, {"compile": True}])
def test_lazy_cannot_be_had_with_what_needs_every_row(other):
    with pytest.raises(ConfigError, match="lazy: cannot be had with"):
        model("bpr", lazy=True, **other)
