"""What click models are trained on and when they stop: labels, drawn items, histories, hidden codes, pairs."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.errors import DataError
from recloop.recsys.clicks import CLICK_MODELS, FeatureTable
from recloop.recsys.clicks.contract import checkerboard
from recloop.recsys.clicks.embedding import Rows
from recloop.recsys.data.dataset import PAIR_COLUMNS, Dataset
from recloop.recsys.evaluation import auc, evaluate, logloss
from recloop.recsys.models import MODELS, FitContext
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.training import loop as training
from sklearn.linear_model import LogisticRegression

from tests.recsys.clicks.small import small


@pytest.fixture(scope="module")
def split():
    return checkerboard()


def described(train):
    """The checkerboard with columns of every kind."""
    items = train.items.assign(
        categories=np.where(train.items["item_id"] % 3 == 0, "a, b", "c"), year=1990 + train.items["item_id"] % 5
    )
    return train.with_(items=items, users=train.users.assign(sex=np.where(train.users["user_id"] % 3 == 0, "F", "M")))


def batches(name, train, **settings):
    made = small(name, **settings)
    network = made.build(train)
    return network, list(made.terms(network, train)[0].batches(np.random.default_rng(0)))


@pytest.mark.parametrize("name", CLICK_MODELS)
def test_gradients_reach_every_parameter_and_every_code(split, name):
    train = described(split.train)
    made = small(name, hidden=0.3, context=("hour",), l2=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = made.build(train)
        term, *_ = made.terms(network, train)
        # Every network starts at odd values: a weight that starts at 0 hides the gradient of what it multiplies.
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for batch in term.batches(np.random.default_rng(0)):
            term.loss(*(torch.as_tensor(a) for a in batch)).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key
    used = {*network.fields.user_codes.unique().tolist(), *network.fields.item_codes.unique().tolist()}
    used |= {*network.fields.unknown.tolist(), *network.fields.list_0.unique().tolist()} - {0}
    table = network.fields.weights if name == "logistic" else network.fields.vectors
    moved = set(table.grad.any(1).nonzero()[:, 0].tolist())
    assert used <= moved
    assert 0 not in moved


def test_rated_rows_are_clicks_from_the_threshold_on(split):
    _, made = batches("fm", split.train, threshold=5.0)
    users, items, truth = (np.concatenate([batch[at] for batch in made]) for at in (0, 1, 5))
    assert sorted(zip(users, items, strict=True)) == sorted(zip(split.train.user, split.train.item, strict=True))
    ids = split.train.users["user_id"].to_numpy()[users] + split.train.items["item_id"].to_numpy()[items]
    assert (truth == (ids % 2 == 0)).all()


def test_choices_stand_beside_items_that_their_user_never_chose():
    train = two_tastes().train  # its last user knows every item
    _, made = batches("fm", train, negatives=3)
    users, items, truth = (np.concatenate([batch[at] for batch in made]) for at in (0, 1, 5))
    known = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    chosen = list(zip(users[truth == 1].tolist(), items[truth == 1].tolist(), strict=True))
    drawn = list(zip(users[truth == 0].tolist(), items[truth == 0].tolist(), strict=True))
    assert sorted(chosen) == sorted(known)
    assert not known & set(drawn)
    counts = np.bincount(users[truth == 0], minlength=train.n_users)
    assert (counts[:-1] == 3 * train.user_counts[:-1]).all()
    assert counts[-1] == 0


def test_ratings_can_be_taken_for_choices(split):
    network, made = batches("fm", split.train, labels="choices", negatives=1)
    assert not network.rated
    assert np.concatenate([batch[5] for batch in made]).sum() == len(split.train)


def test_a_batch_shows_din_only_what_its_user_liked_before_the_row(split):
    train = split.train
    _, made = batches("din", train, max_length=50)
    users, items, history = (np.concatenate([batch[at] for batch in made]) for at in (0, 1, 4))
    moment = {(u, i): t for u, i, t in zip(train.user, train.item, train.timestamp, strict=True)}
    for user, item, row in zip(users, items, history, strict=True):
        past = (train.user == user) & (train.timestamp < moment[user, item]) & (train.value >= 4)
        assert row[row < train.n_items].tolist() == train.item[past].tolist()


def test_a_longer_window_of_nothing_changes_no_score_of_din(split):
    short, long = small("din", max_length=9), small("din", max_length=40)
    short.fit(split.train)
    long.fit(split.train)
    long.restore(short.state())
    assert split.train.user_counts.max() // 2 <= 9
    np.testing.assert_allclose(
        short.predict(split.test, split.train), long.predict(split.test, split.train), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("stop_on", ["auto", "auc", "logloss", "ndcg@10"])
def test_the_validation_side_is_judged_as_the_settings_say(split, stop_on):
    made = small("fm", stop_on=stop_on, patience=3, epochs=30)
    made.fit(split.train, split.valid)
    chances, truth = made.predict(split.valid, split.train), split.valid.value >= 4
    figure = {
        "auto": lambda: auc(truth, chances),
        "auc": lambda: auc(truth, chances),
        "logloss": lambda: -logloss(truth, chances),
        "ndcg@10": lambda: evaluate(made, split, metrics=["ndcg@10"], side="valid").mean("ndcg@10"),
    }[stop_on]()
    assert made.log.epochs[made.log.best_epoch - 1].validation == pytest.approx(figure, abs=1e-5)
    assert max(e.validation for e in made.log.epochs) == pytest.approx(figure, abs=1e-5)


def test_choices_are_judged_by_their_ranking():
    split = two_tastes()
    made = small("fm")
    made.fit(split.train, split.valid)
    ndcg = evaluate(made, split, metrics=["ndcg@10"], side="valid").mean("ndcg@10")
    assert max(e.validation for e in made.log.epochs) == pytest.approx(ndcg)


@pytest.mark.parametrize("settings", [{"labels": "ratings"}, {"stop_on": "auc"}], ids=["training", "stopping"])
def test_labels_that_are_all_equal_cannot_be_asked_for(settings):
    split = two_tastes()
    with pytest.raises(DataError, match="one side of threshold"):
        small("fm", **settings).fit(split.train, split.valid)


def test_cold_users_share_the_unknown_code_and_hiding_trains_it(split):
    kept = split.train.rows(split.train.user > 3)
    made = small("fm", hidden=0.2)
    made.fit(kept)
    scores = made.score(np.arange(4, dtype=np.int32), kept)
    np.testing.assert_array_equal(scores, np.repeat(scores[:1], 4, 0))
    unknown = made.network.fields.unknown[:2].long()
    assert made.network.fields.weights[unknown].abs().min() > 1e-3
    plain = small("fm", hidden=0.0)
    plain.fit(kept)
    assert not plain.network.fields.weights[unknown].any()


def test_a_hidden_user_is_a_cold_one_without_id_and_history(split):
    made = small("din")
    made.fit(split.train)
    cold = split.train.rows(split.train.user != 3)
    network = made.network.eval()
    users, items = torch.full((5,), 3), torch.arange(5)
    history = torch.as_tensor(split.train.history(3)[:6].astype(np.int64)).expand(5, -1)
    none = torch.full((5, 6), split.train.n_items)
    hidden = torch.tensor([[True, False, False]]).expand(5, -1)
    with torch.no_grad():
        seen, hid, gone = (
            network(Rows(users, items, None, h, past))[0]
            for h, past in ((None, history), (hidden, history), (hidden, none))
        )
    torch.testing.assert_close(hid, gone)
    assert not torch.allclose(seen, hid)
    assert (FeatureTable.fitted(cold).users[3] == 0).all()


def test_a_row_is_judged_at_its_own_hour():
    rng = np.random.default_rng(0)
    n = 600
    hour = rng.integers(0, 24, n)
    table = {"user_id": rng.integers(0, 20, n), "item_id": rng.integers(0, 20, n), "timestamp": hour * 3600}
    data = Dataset.of("hours", pd.DataFrame(table | {"value": np.where(hour < 12, 5.0, 1.0)}))
    right = []
    for context in (("hour",), ()):
        made = small("logistic", context=context)
        made.fit(data.rows(np.arange(n) % 3 > 0))
        rows = data.rows(np.arange(n) % 3 == 0)
        right.append(auc(rows.value >= 4, made.predict(rows, data)))
    assert right[0] > 0.95
    assert right[1] < 0.65


def test_logistic_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    n, users, items = 2000, 5, 6
    user, item = rng.integers(0, users, n), rng.integers(0, items, n)
    odds = rng.normal(size=users)[user] + rng.normal(size=items)[item]
    value = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), 5.0, 1.0)
    data = Dataset.of("log-odds", pd.DataFrame({"user_id": user, "item_id": item, "value": value}))
    made = small("logistic", l2=0.0, hidden=0.0, epochs=150, batch_size=n, learning_rate=0.05)
    made.fit(data)
    onehot = np.concatenate([np.eye(data.n_users)[data.user], np.eye(data.n_items)[data.item]], 1)
    theirs = LogisticRegression(C=1e4).fit(onehot, data.value >= 4).predict_proba(onehot)[:, 1]
    np.testing.assert_allclose(made.predict(data, data), theirs, atol=5e-3)


def test_the_loss_is_cross_entropy_and_the_penalty_by_the_weight_of_rows(split):
    made = small("deepfm", l2=0.1, hidden=0.0)
    weight = np.where(split.train.item % 2 == 0, 3.0, 0.5).astype(np.float32)
    train = split.train.with_(interactions=split.train.interactions.assign(weight=weight))
    network = made.build(train)
    term, *_ = made.terms(network, train)
    users, items, context, hidden, history, truth, w = (
        torch.as_tensor(a) for a in next(iter(term.batches(np.random.default_rng(0))))
    )
    odds, _ = network(Rows(users, items, context, hidden))
    chance = torch.sigmoid(odds)
    wrong = -truth * chance.log() - (1 - truth) * (1 - chance).log()
    codes = torch.stack([network.fields.user_codes[users, 0], network.fields.item_codes[items, 0]], 1)
    squares = (network.fields.weights[codes] ** 2).sum((1, 2)) + (network.fields.vectors[codes] ** 2).sum((1, 2))
    expected = ((wrong + 0.1 * squares) * w).sum() / w.sum()
    torch.testing.assert_close(term.loss(users, items, context, hidden, history, truth, w), expected)


def test_over_an_epoch_each_pair_is_seen_about_once_however_many_items_are_drawn():
    train = two_tastes().train
    users = np.arange(40, dtype=np.int32)
    columns = [users, np.full_like(users, 3), np.full_like(users, 4), np.ones(40, np.float32), "a", "r"]
    stated = train.with_(pairs=pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))
    for negatives in (1, 7):
        made = small("fm", negatives=negatives, batch_size=64)
        main, pairs = made.terms(made.build(stated), stated)
        steps = zip(main.batches(np.random.default_rng(0)), pairs.batches(np.random.default_rng(0)), strict=False)
        assert sum(len(batch[0]) for _, batch in steps) == pytest.approx(40, rel=0.35)


def test_a_click_training_that_was_cut_off_goes_on_as_if_it_had_not_been(split, tmp_path):
    whole, log = training.fit(small("din", epochs=4), split.train, split.valid, FitContext(seed=2))
    kept = FitContext(seed=2, folder=tmp_path)
    training.fit(small("din", epochs=2), split.train, split.valid, kept)
    again, resumed = training.fit(small("din", epochs=4), split.train, split.valid, kept)
    assert [e.validation for e in resumed.epochs] == [e.validation for e in log.epochs]
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["deepfm", "din"])
def test_bf16_learns_as_well(split, name):
    made = small(name, precision="bf16")
    made.fit(split.train, split.valid)
    assert auc(split.test.value >= 4, made.predict(split.test, split.train)) > 0.9


def test_every_click_model_has_its_contract_tests():
    pages = "".join(page.read_text() for page in Path(__file__).parent.glob("test_contract_of_*.py"))
    assert set(re.findall(r'small\("(\w+)"', pages)) == set(CLICK_MODELS)
    assert set(CLICK_MODELS) <= set(MODELS)
