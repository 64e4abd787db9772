"""For every network: what is held out is never trained on, and which items are held out changes no weight.

That a later item never changes an earlier state stands in test_sequence_models.py; BPR and LightGCN read no order.
"""

import numpy as np
import pytest
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes

WINDOWS = {"max_length": 6, "batch_size": 8}
NETWORKS = {
    "bpr": {"batch_size": 32},
    "lightgcn": {"batch_size": 32},
    "gru4rec": WINDOWS | {"hidden_size": 8},
    "sasrec": WINDOWS,
    "bert4rec": WINDOWS,
}


@pytest.fixture(scope="module")
def split():
    return two_tastes()


def made(name, **settings):
    return model(name, **{"embedding_size": 8, "epochs": 2, "patience": 2} | NETWORKS[name] | settings)


def touched(name, split, seed=0):
    """Every (user, item) of an epoch's inputs and targets, other items of a triple left out."""
    learner = made(name)
    network = learner.build(split.train)
    pairs = set()
    for batch in learner.terms(network, split.train)[0].batches(np.random.default_rng(seed)):
        if name in ("bpr", "lightgcn"):
            users, items, *_ = batch
            pairs |= set(zip(users.tolist(), items.tolist(), strict=True))
            continue
        users, inputs, *rest = batch
        n = split.train.n_items
        row, place = np.nonzero(inputs < n)
        pairs |= set(zip(users[row].tolist(), inputs[row, place].tolist(), strict=True))
        counts = (inputs != n).sum(1) if name != "bert4rec" else rest[0].sum(1)
        targets = rest[0] if name != "bert4rec" else rest[1]
        pairs |= set(zip(np.repeat(users, counts).tolist(), targets.tolist(), strict=True))
    return pairs


@pytest.mark.parametrize("name", NETWORKS)
def test_held_out_items_are_never_trained_on(name, split):
    known = set(zip(split.train.user.tolist(), split.train.item.tolist(), strict=True))
    held_out = {(u, i) for side in (split.valid, split.test) for u, i in zip(side.user, side.item, strict=True)}
    assert touched(name, split) <= known
    assert not touched(name, split) & held_out


@pytest.mark.parametrize("name", NETWORKS)
def test_which_items_are_held_out_changes_no_weight(name, split):
    """The same train side beside another validation side: but for the epoch that is kept, nothing may differ."""
    fitted = []
    for side in (split.valid, split.test):
        learner = made(name, epochs=1)
        learner.fit(split.train, side, FitContext(seed=4, threads=1))
        fitted.append(learner.state())
    for key, value in fitted[0].items():
        np.testing.assert_array_equal(value, fitted[1][key], err_msg=key)
