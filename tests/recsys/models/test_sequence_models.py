"""SASRec, GRU4Rec, BERT4Rec: no look into the future, inert padding, every parameter moves, and what the hooks do."""

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.errors import ConfigError
from recloop.recsys.data.dataset import PAIR_COLUMNS, Dataset
from recloop.recsys.models import model
from recloop.recsys.models.contract import two_tastes

SMALL = {"embedding_size": 8, "max_length": 6, "batch_size": 8}
NEXT_ITEM, ALL = ["sasrec", "gru4rec"], ["sasrec", "gru4rec", "bert4rec"]


@pytest.fixture(scope="module")
def split():
    return two_tastes()


def loud(name, train):
    """An untrained network with weights large enough for every input to be heard."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = model(name, **SMALL).build(train).eval()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return made


def chain(n_users=60, n_items=10, length=14, seed=0):
    """Everybody walks the ring of items one step at a time, from a random start."""
    start = np.random.default_rng(seed).integers(0, n_items, n_users)
    items = (start[:, None] + np.arange(length)) % n_items
    return Dataset.of(
        "ring", pd.DataFrame({"user_id": np.repeat(np.arange(n_users), length), "item_id": items.ravel()})
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sasrec", {"blocks": 1}),
        ("sasrec", {"blocks": 1, "loss": "sampled_softmax", "negatives": 2}),
        ("sasrec", {"blocks": 1, "loss": "gbce", "negatives": 2}),
        ("gru4rec", {"hidden_size": 16}),
        ("bert4rec", {"blocks": 1, "heads": 1, "epochs": 60, "learning_rate": 0.01}),
    ],
)
def test_it_learns_which_item_follows_which(name, settings):
    # Histories of 8 of the 10 items: negatives are never positives of the user, so somebody who knew them all had none.
    ring = chain(length=8)
    quick = {"epochs": 25, "learning_rate": 0.03, "dropout": 0.0}
    learner = model(name, **(SMALL | quick | settings))
    learner.fit(ring)
    scores = learner.score(np.arange(ring.n_users, dtype=np.int32), ring)
    scores[ring.user, ring.item] = -np.inf
    after = scores.argmax(1)
    ids = ring.items["item_id"].to_numpy()
    last = ring.item[ring.indptr[1:] - 1]
    assert (ids[after] == (ids[last] + 1) % 10).mean() > 0.95


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_a_future_item_never_changes_a_past_state(name, split):
    network, users = loud(name, split.train), torch.zeros(1, dtype=torch.long)
    before = network(users, torch.tensor([[0, 1, 2, 3, 4, 5]]))
    after = network(users, torch.tensor([[0, 1, 2, 9, 9, 9]]))
    torch.testing.assert_close(before[:3], after[:3])
    assert not torch.isclose(before[3:], after[3:]).all(1).any()


@pytest.mark.parametrize("name", ALL)
def test_a_past_item_changes_the_states_after_it(name, split):
    network, users = loud(name, split.train), torch.zeros(1, dtype=torch.long)
    one, two = network(users, torch.tensor([[0, 1, 2, 3]])), network(users, torch.tensor([[7, 1, 2, 3]]))
    assert not torch.isclose(one, two).all(1).any()


@pytest.mark.parametrize("name", ALL)
def test_padding_is_inert(name, split):
    """A history gives the same states alone, padded, and beside longer ones; a pad has no state to be trained on."""
    network, pad = loud(name, split.train), split.train.n_items
    users = torch.zeros(2, dtype=torch.long)
    alone = network(users[:1], torch.tensor([[3, 1, 4]]))
    beside = network(users, torch.tensor([[3, 1, 4, pad, pad, pad], [1, 5, 9, 2, 6, 5]]))
    torch.testing.assert_close(beside[:3], alone)
    assert len(beside) == 9


@pytest.mark.parametrize("name", ALL)
def test_a_score_at_an_earlier_moment_does_not_know_the_later_history(name, split):
    learner = model(name, **SMALL, epochs=2)
    learner.fit(split.train)
    users = np.arange(40, dtype=np.int32)
    early = split.train.rows(np.arange(len(split.train)) - split.train.indptr[split.train.user] < 3)
    assert not np.allclose(learner.score(users, early), learner.score(users, split.train))
    alone = early.rows(early.user == 4)
    np.testing.assert_allclose(learner.score(users[4:5], early), learner.score(users[4:5], alone), rtol=1e-5, atol=1e-6)


def test_bert4rec_guesses_hidden_places_without_seeing_them(split):
    """The inputs of a batch hold no target at its place, and what is hidden is what the windows held there."""
    train = split.train
    learner = model("bert4rec", **SMALL, hidden_share=0.3)
    network = learner.build(train)
    made = list(learner.terms(network, train)[0].batches(np.random.default_rng(0)))
    chosen = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    hidden = places = 0
    for users, inputs, hide, targets, weights in made:
        assert (inputs[hide] == train.n_items + 1).all()
        assert (inputs[~hide] <= train.n_items).all()
        assert hide.any(1).all()
        rows = np.repeat(users, hide.sum(1))
        assert set(zip(rows.tolist(), targets.tolist(), strict=True)) <= chosen
        assert weights.tolist() == [1.0] * len(targets)
        hidden, places = hidden + hide.sum(), places + (inputs != train.n_items).sum()
    assert 0.2 < hidden / places < 0.5
    held_out = {(u, i) for side in (split.valid, split.test) for u, i in zip(side.user, side.item, strict=True)}
    assert not held_out & {(u, i) for b in made for u, i in zip(np.repeat(b[0], b[2].sum(1)), b[3], strict=True)}


@pytest.mark.parametrize("name", ALL)
def test_only_the_newest_max_length_items_are_seen(name):
    learner, ring = model(name, **SMALL, epochs=1), chain(length=14)
    learner.fit(ring)
    place = np.arange(len(ring)) - ring.indptr[ring.user]
    users = np.arange(ring.n_users, dtype=np.int32)
    whole, end = learner.score(users, ring), learner.score(users, ring.rows(place >= 8))
    np.testing.assert_allclose(whole, end, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_scores_do_not_depend_on_how_users_are_cut_into_blocks(name, split, monkeypatch):
    learner = model(name, **SMALL, epochs=1)
    learner.fit(split.train)
    users = np.arange(41, dtype=np.int32)
    whole = learner.score(users, split.train)
    monkeypatch.setattr("recloop.recsys.models.sequence.STATE_SCORES", 150)
    np.testing.assert_allclose(learner.score(users, split.train), whole, rtol=1e-4, atol=1e-6)
    assert learner.score(users[:0], split.train).shape == (0, split.train.n_items)


def batches(data, **settings):
    sasrec = model("sasrec", **SMALL, **settings)
    network = sasrec.build(data)
    term = sasrec.terms(network, data)[0]
    return network, term, list(term.batches(np.random.default_rng(0)))


def test_every_interaction_but_a_users_first_is_a_target_once_and_nothing_held_out_is(split):
    train = split.train
    _, _, made = batches(train)
    users, inputs, targets, weights, _ = zip(*made, strict=True)
    rows = [np.repeat(u, (i != train.n_items).sum(1)) for u, i in zip(users, inputs, strict=True)]
    seen = sorted(zip(np.concatenate(rows).tolist(), np.concatenate(targets).tolist(), strict=True))
    later = np.flatnonzero(np.arange(len(train)) - train.indptr[train.user] > 0)
    assert seen == sorted(zip(train.user[later].tolist(), train.item[later].tolist(), strict=True))
    held_out = {(u, i) for side in (split.valid, split.test) for u, i in zip(side.user, side.item, strict=True)}
    assert not held_out & set(seen)
    assert np.concatenate(weights).tolist() == [1.0] * len(later)


def test_a_target_comes_right_after_the_input_at_its_place(split):
    train = split.train
    follows = {(train.item[r], train.item[r + 1]) for r in range(len(train) - 1) if train.user[r] == train.user[r + 1]}
    _, _, made = batches(train)
    for _, inputs, targets, _, _ in made:
        assert set(zip(inputs[inputs != train.n_items].tolist(), targets.tolist(), strict=True)) <= follows


def test_sampled_negatives_are_never_positives_of_the_windows_user(split):
    train = split.train
    positives = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    _, _, made = batches(train, loss="gbce", negatives=5)
    for users, _, _, _, drawn in made:
        assert drawn.shape == (len(users), 5)
        assert not positives & {(u, i) for u, row in zip(users.tolist(), drawn.tolist(), strict=True) for i in row}


def test_a_weight_multiplies_the_loss_of_its_own_target(split):
    weight = np.linspace(0.5, 2, len(split.train)).astype(np.float32)
    train = split.train.with_(interactions=split.train.interactions.assign(weight=weight))
    of = {(u, i): w for u, i, w in zip(train.user, train.item, train.weight, strict=True)}
    network, term, made = batches(train, dropout=0.0)
    users, inputs, targets, weights, _ = made[0]
    row = np.repeat(users, (inputs != train.n_items).sum(1))
    assert weights.tolist() == [of[u, i] for u, i in zip(row, targets, strict=True)]
    loss = term.loss(*(torch.as_tensor(a) for a in made[0]))
    logits = network(torch.as_tensor(users), torch.as_tensor(inputs)) @ network.items.T
    apart = torch.nn.functional.cross_entropy(logits, torch.as_tensor(targets), reduction="none")
    torch.testing.assert_close(loss, (apart * torch.as_tensor(weights)).sum() / weights.sum())


@pytest.mark.parametrize(
    ("name", "settings"),
    [("sasrec", {}), ("sasrec", {"loss": "gbce", "negatives": 3}), ("gru4rec", {}), ("bert4rec", {})],
)
def test_every_parameter_moves(name, settings, split):
    users = np.random.default_rng(0).normal(size=(split.train.n_users, 4)).astype(np.float32)
    train = split.train.with_(user_vectors=users)
    learner = model(name, **SMALL, epochs=1, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = learner.build(train).state_dict()
    learner.fit(train)
    for key, after in learner.network.state_dict().items():
        assert torch.equal(before[key], after) is (key == "user_vectors"), key


@pytest.mark.parametrize("name", ALL)
def test_user_vectors_say_nothing_before_training_decides_so(name, split):
    users = np.random.default_rng(0).normal(size=(split.train.n_users, 4)).astype(np.float32)
    users[3] = 0
    made = []
    for data in (split.train, split.train.with_(user_vectors=users)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            made.append(model(name, **SMALL).build(data).eval())
    codes, items = torch.arange(5), torch.arange(20).view(5, 4)
    torch.testing.assert_close(made[0](codes, items), made[1](codes, items))
    assert made[1].user_vectors[3].abs().sum() == 0
    torch.nn.init.ones_(made[1].user_map.weight)
    heard = ~torch.isclose(made[0](codes, items), made[1](codes, items)).all(1)
    assert heard.view(5, 4).all(1).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("name", ALL)
def test_item_vectors_are_where_item_embeddings_start(name, split):
    vectors = np.random.default_rng(0).normal(size=(split.train.n_items, 8)).astype(np.float32)
    start = model(name, **SMALL).build(split.train.with_(item_vectors=vectors)).items.detach().numpy()
    centred = vectors - vectors.mean(0)
    assert np.corrcoef((centred @ centred.T).ravel(), (start @ start.T).ravel())[0, 1] > 0.999
    assert start.std() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("name", ALL)
def test_pairs_act_on_the_state_at_the_end_of_the_train_history(name, split):
    user = np.arange(0, 40, 2, dtype=np.int32)
    columns = [user, np.full_like(user, 5), np.full_like(user, 4), np.ones(len(user), np.float32), "agent", "record"]
    guided = split.train.with_(pairs=pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))
    margins = []
    for data in (split.train, guided):
        learner = model(name, **SMALL, epochs=20, learning_rate=0.01, pair_weight=5.0)
        learner.fit(data)
        scores = learner.score(user, data)
        margins.append((scores[:, 5] - scores[:, 4]).mean())
    assert margins[1] > margins[0] + 0.3


@pytest.mark.parametrize("name", ALL)
def test_a_user_without_history_ties_all_items(name, split):
    learner = model(name, **SMALL, epochs=1)
    learner.fit(split.train)
    nobody = split.train.rows(split.train.user != 2)
    assert learner.score(np.array([2], np.int32), nobody).tolist() == [[0.0] * split.train.n_items]


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_heads_must_divide_the_embedding_size(name):
    with pytest.raises(ConfigError, match="heads: 3 does not divide embedding_size 64"):
        model(name, heads=3)
