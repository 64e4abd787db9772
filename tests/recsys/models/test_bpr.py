"""BPR-MF: what is in its batches, what its hooks do."""

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.recsys.data.dataset import PAIR_COLUMNS
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes


@pytest.fixture(scope="module")
def split():
    return two_tastes()


def batches(data, **settings):
    bpr = model("bpr", embedding_size=4, batch_size=32, **settings)
    network = bpr.build(data)
    return bpr, network, list(bpr.terms(network, data)[0].batches(np.random.default_rng(0)))


def test_a_batch_pairs_each_interaction_with_an_item_its_own_user_never_chose(split):
    data = split.train.rows(split.train.user < 40)  # the last user knows every item
    _, _, made = batches(data)
    users, items, others, _ = (np.concatenate(columns) for columns in zip(*made, strict=True))
    positives = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
    assert sorted(zip(users.tolist(), items.tolist(), strict=True)) == sorted(positives)
    assert not positives & set(zip(users.tolist(), others.tolist(), strict=True))


def test_a_user_who_knows_every_item_is_left_out(split):
    _, _, made = batches(split.train)
    assert 40 not in np.concatenate([batch[0] for batch in made])


def test_neither_validation_nor_test_items_are_positives_of_a_batch(split):
    _, _, made = batches(split.train)
    held_out = {(u, i) for side in (split.valid, split.test) for u, i in zip(side.user, side.item, strict=True)}
    assert not held_out & {(u, i) for batch in made for u, i in zip(batch[0], batch[1], strict=True)}


def test_the_loss_is_bpr_plus_the_l2_of_what_the_batch_touches(split):
    bpr, network, made = batches(split.train, l2=0.1)
    users, items, others, weight = (torch.as_tensor(a) for a in made[0])
    loss = bpr.terms(network, split.train)[0].loss(users, items, others, weight)
    p, q, r = network.users[users], network.items[items], network.items[others]
    expected = -torch.log(torch.sigmoid((p * q).sum(1) - (p * r).sum(1))).mean()
    norm = ((p**2).sum(1) + (q**2).sum(1) + (r**2).sum(1)).mean()
    torch.testing.assert_close(loss, expected + 0.1 * norm)


def test_every_parameter_moves(split):
    bpr = model("bpr", embedding_size=4, batch_size=32, epochs=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = bpr.build(split.train).state_dict()
    bpr.fit(split.train)
    for name, after in bpr.network.state_dict().items():
        assert not torch.equal(before[name], after), name


def test_weights_pull_towards_the_heavy_interactions(split):
    train = split.train
    heavy = np.isin(train.item, [0, 1, 2])
    weight = np.where(heavy, 8.0, 0.25).astype(np.float32)
    scores = []
    for data in (train, train.with_(interactions=train.interactions.assign(weight=weight))):
        bpr = model("bpr", embedding_size=8, epochs=20, batch_size=64)
        bpr.fit(data)
        scores.append(bpr.score(np.arange(40, dtype=np.int32), data))
    plain, weighted = (s[:, :3].mean() - s[:, 3:].mean() for s in scores)
    assert weighted > plain + 0.1


@pytest.mark.parametrize("pair_weight", [0.0, 1.0, 10.0])
def test_pairs_move_exactly_the_preference_they_state(split, pair_weight):
    user = np.arange(0, 40, 2, dtype=np.int32)
    columns = [user, np.full_like(user, 5), np.full_like(user, 4), np.ones(len(user), np.float32), "agent", "record"]
    guided = split.train.with_(pairs=pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))
    margins = []
    for data in (split.train, guided):
        bpr = model("bpr", embedding_size=8, epochs=40, batch_size=64, pair_weight=pair_weight)
        bpr.fit(data)
        scores = bpr.score(user, data)
        margins.append((scores[:, 5] - scores[:, 4]).mean())
    assert bool(margins[1] > margins[0]) is (pair_weight > 0)


def test_vectors_of_one_space_keep_their_products_at_the_start(split):
    """Users and items described in the same space stay comparable: the product of two starts follows their texts'."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(split.train.n_items, 6)).astype(np.float32)
    users = rng.normal(size=(split.train.n_users, 6)).astype(np.float32)
    items[3], users[4] = 0, 0
    network = model("bpr", embedding_size=6).build(split.train.with_(item_vectors=items, user_vectors=users))
    known_items, known_users = np.delete(np.arange(len(items)), 3), np.delete(np.arange(len(users)), 4)
    mean = items[known_items].mean(0)
    products = (users[known_users] - mean) @ (items[known_items] - mean).T
    starts = (network.users @ network.items.T).detach().numpy()[np.ix_(known_users, known_items)]
    assert np.corrcoef(products.ravel(), starts.ravel())[0, 1] > 0.999
    assert network.items.std().item() == pytest.approx(0.1, rel=0.2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        plain = model("bpr", embedding_size=6).build(split.train)
        torch.manual_seed(1)
        started = model("bpr", embedding_size=6).build(split.train.with_(item_vectors=items, user_vectors=users))
    assert torch.equal(plain.items[3], started.items[3])
    assert torch.equal(plain.users[4], started.users[4])
    assert not torch.equal(plain.items[2], started.items[2])
