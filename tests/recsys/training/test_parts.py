"""Parts of a batch: together they are the batch, and their losses with their shares are its loss and its gradient."""

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.recsys.data.dataset import PAIR_COLUMNS
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.training.batches import part_of_rows, share, stretch

WINDOWS = {"max_length": 6, "dropout": 0.0, "batch_size": 7}
SETTINGS = {
    "bpr": {"batch_size": 50},
    "lightgcn": {"batch_size": 50},
    "gru4rec": WINDOWS,
    "sasrec": WINDOWS,
    "sasrec with gBCE": WINDOWS | {"loss": "gbce", "negatives": 3},
    "bert4rec": WINDOWS,
}


def weighted():
    split = two_tastes()
    weight = np.linspace(0.1, 4, len(split.train)).astype(np.float32)
    users = np.arange(11, dtype=np.int32)
    columns = [users, users + 1, users + 2, np.linspace(0.1, 1, 11).astype(np.float32), "agent", "record"]
    pairs = pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True)))
    return split.train.with_(interactions=split.train.interactions.assign(weight=weight), pairs=pairs)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("parts", [2, 3, 90], ids=["two", "three", "more than rows"])
def test_losses_of_the_parts_add_up_to_the_loss_of_the_batch(name, parts):
    train = weighted()
    learner = model(name.split()[0], embedding_size=8, **SETTINGS[name])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = learner.build(train)
    for term in learner.terms(network, train):
        batch = next(iter(term.batches(np.random.default_rng(0))))
        whole = gradient(network, term.loss(*map(torch.as_tensor, batch)))
        rows, shares, added = 0, 0.0, torch.zeros_like(whole)
        for which in range(parts):
            mine, counted = term.part(batch, which, parts)
            rows, shares = rows + len(mine[0]), shares + counted
            if len(mine[0]):
                added += counted * gradient(network, term.loss(*map(torch.as_tensor, mine)))
        assert rows == len(batch[0])
        assert shares == pytest.approx(1)
        torch.testing.assert_close(added, whole, rtol=1e-3, atol=1e-6)


def gradient(network, loss):
    """The loss and its gradient by every weight, in one row."""
    network.zero_grad()
    loss.backward()
    return torch.cat([loss.detach()[None], *(p.grad.ravel() for p in network.parameters() if p.grad is not None)])


@pytest.mark.parametrize(("n", "parts"), [(10, 3), (2, 5), (0, 2)])
def test_stretches_are_of_like_length_and_leave_no_row_out(n, parts):
    pieces = [range(n)[stretch(n, which, parts)] for which in range(parts)]
    assert [row for piece in pieces for row in piece] == list(range(n))
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_a_batch_of_weights_of_0_has_no_shares():
    assert share(np.zeros(4, np.float32), slice(0, 2)) == 0.0
    rows, counted = part_of_rows((np.arange(4), np.array([0, 0, 1, 3], np.float32)), 1, 2)
    assert rows[0].tolist() == [2, 3]
    assert counted == 1.0
