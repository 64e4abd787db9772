"""The one training loop: its steps, when it stops, what it keeps, how it goes on after a kill."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from recloop.errors import ConfigError, DataError
from recloop.recsys.data.dataset import PAIR_COLUMNS, Dataset, together
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.training import loop as training
from recloop.recsys.training.batches import shuffled
from recloop.recsys.training.loop import Term, TrainingConfig
from recloop.recsys.training.validation import validation_users
from torch import nn


class Line(nn.Module):
    def __init__(self, n_items):
        super().__init__()
        self.slope = nn.Parameter(torch.randn(n_items))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))


class Regression:
    """Learns each item's share of interactions by squared error: small enough to be repeated by hand."""

    name = "regression"

    def __init__(self, planned=None, breaks_at=None, **config):
        self.config = TrainingConfig(**{"batch_size": 16, "learning_rate": 0.05} | config)
        self.planned, self.breaks_at = planned, breaks_at
        self.epochs_begun = 0

    def build(self, train):
        return Line(train.n_items)

    def terms(self, network, train):
        def batches(rng):
            self.epochs_begun += 1
            if self.epochs_begun == self.breaks_at:
                raise KeyboardInterrupt
            for rows in shuffled(len(train), self.config.batch_size, rng):
                yield train.item[rows].astype(np.int64), train.weight[rows]

        def loss(items, weights):
            network.steps += 1
            return ((network.slope[items] - 1) ** 2 * weights).mean()

        return [Term(batches, loss)]

    def scores(self, network, users, history):
        """As planned: in epoch e the user's validation item comes first (quality 1) or last (quality 0)."""
        if self.planned is None:
            return np.tile(network.slope.detach().numpy(), (len(users), 1))
        epoch = -(-int(network.steps) // self.steps)
        return self.planned(epoch, users)

    steps = 1


def weights_of(network):
    return network.slope.detach().numpy()


@pytest.fixture(scope="module")
def split():
    return two_tastes()


def planner(split, quality):
    """Scores under which the validation NDCG@10 of epoch e is quality[e - 1]: that share of users is served well."""

    def scores(epoch, users):
        good = users < quality[epoch - 1] * split.train.n_users
        truth = np.zeros((len(users), split.train.n_items), np.float32)
        row = dict(zip(split.valid.user, split.valid.item, strict=True))
        for at, user in enumerate(users):
            if user in row:
                truth[at, row[user]] = 1.0 if good[at] else -1.0
        return truth

    return scores


def test_a_step_is_adam_on_the_gradient_of_its_own_batch_alone(split):
    """Written out once more by hand: a forgotten zero_grad, a loss of another batch or another order would differ."""
    learner = Regression(epochs=3)
    network, _ = training.fit(learner, split.train, None, FitContext(seed=5, threads=1))

    torch.manual_seed(5)
    slope = torch.randn(split.train.n_items)
    first, second, step = torch.zeros_like(slope), torch.zeros_like(slope), 0
    for epoch in (1, 2, 3):
        for rows in shuffled(len(split.train), 16, np.random.default_rng([5, epoch])):
            gradient = torch.zeros_like(slope)
            items = torch.as_tensor(split.train.item[rows]).long()
            gradient.index_add_(0, items, 2 * (slope[items] - 1) / len(rows))
            step += 1
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            slope = slope - 0.05 * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    np.testing.assert_allclose(weights_of(network), slope.numpy(), rtol=1e-4, atol=1e-5)


def test_training_stops_when_validation_no_longer_improves_and_keeps_the_best_weights(split):
    quality = [0.1, 0.5, 0.3, 0.9, 0.4, 0.8, 0.2, 1.0, 1.0]
    learner = Regression(planner(split, quality), epochs=9, patience=3)
    learner.steps = -(-len(split.train) // 16)
    network, log = training.fit(learner, split.train, split.valid)
    assert (len(log.epochs), log.best_epoch) == (7, 4)
    np.testing.assert_allclose([e.validation for e in log.epochs], quality[:7], atol=0.05)
    four, _ = training.fit(Regression(epochs=4), split.train)
    np.testing.assert_array_equal(weights_of(network), weights_of(four))


def test_without_a_validation_side_the_last_epoch_counts(split):
    _, log = training.fit(Regression(epochs=4), split.train)
    assert (len(log.epochs), log.best_epoch, log.refitted) == (4, 4, False)
    assert all(np.isnan(e.validation) for e in log.epochs)
    assert log.epochs[-1].loss < log.epochs[0].loss


def test_evaluations_can_be_spaced_and_the_last_epoch_is_always_judged(split):
    _, log = training.fit(Regression(epochs=7, evaluate_every=3), split.train, split.valid)
    assert [e.epoch for e in log.epochs if not np.isnan(e.validation)] == [3, 6, 7]


def test_dropout_is_on_in_training_and_off_while_the_validation_side_is_ranked(split):
    learner = Regression(epochs=3)
    seen = {"trained": [], "ranked": []}

    def terms(network, train):
        (term,) = Regression.terms(learner, network, train)
        return [Term(term.batches, lambda *batch: seen["trained"].append(network.training) or term.loss(*batch))]

    def scores(network, users, history):
        seen["ranked"].append(network.training)
        return Regression.scores(learner, network, users, history)

    learner.terms, learner.scores = terms, scores
    training.fit(learner, split.train, split.valid)
    assert len(seen["ranked"]) >= 3
    assert set(seen["trained"]) == {True}
    assert set(seen["ranked"]) == {False}


def test_refitting_trains_on_train_and_valid_for_the_best_number_of_epochs(split):
    quality = [0.1, 0.9, 0.3, 0.4]
    learner = Regression(planner(split, quality), epochs=4, refit=True)
    learner.steps = -(-len(split.train) // 16)
    network, log = training.fit(learner, split.train, split.valid)
    assert (log.best_epoch, log.refitted, len(log.epochs)) == (2, True, 6)
    again, _ = training.fit(Regression(epochs=2), together(split.train, split.valid))
    np.testing.assert_array_equal(weights_of(network), weights_of(again))


def test_another_seed_is_another_training(split):
    one, other = (training.fit(Regression(epochs=1), split.train, None, FitContext(seed=s))[0] for s in (0, 1))
    assert not np.allclose(weights_of(one), weights_of(other))


@pytest.mark.parametrize("name", ["regression", "bpr", "lightgcn", "gru4rec", "sasrec", "bert4rec"])
def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(split, tmp_path, name):
    def learner(breaks_at=None):
        if name == "regression":
            return Regression(epochs=5, breaks_at=breaks_at)
        small = {"epochs": 5, "embedding_size": 8, "batch_size": 16} | (
            {} if name in ("bpr", "lightgcn") else {"max_length": 8}
        )
        made = model(name, **small)
        if breaks_at:
            terms, begun = made.terms, []

            def failing(network, train):
                main, *rest = terms(network, train)

                def batches(rng):
                    begun.append(1)
                    if len(begun) == breaks_at:
                        raise KeyboardInterrupt
                    return main.batches(rng)

                return [Term(batches, main.loss), *rest]

            made.terms = failing
        return made

    whole, log = training.fit(learner(), split.train, split.valid, FitContext(seed=2))
    kept = FitContext(seed=2, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        training.fit(learner(breaks_at=4), split.train, split.valid, kept)
    resumed, again = training.fit(learner(), split.train, split.valid, kept)
    assert [(e.loss, e.validation) for e in again.epochs] == [(e.loss, e.validation) for e in log.epochs]
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_finished_training_is_not_repeated(split, tmp_path):
    kept = FitContext(folder=tmp_path)
    first, _ = training.fit(Regression(epochs=3), split.train, split.valid, kept)
    again = Regression(epochs=3, breaks_at=1)
    second, _ = training.fit(again, split.train, split.valid, kept)
    np.testing.assert_array_equal(weights_of(first), weights_of(second))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: (Regression(epochs=2, learning_rate=0.1), s.train, FitContext()),
        lambda s: (Regression(epochs=2), s.train.rows(s.train.item != 0), FitContext()),
        lambda s: (Regression(epochs=2), s.train, FitContext(seed=1)),
    ],
    ids=["settings", "data", "seed"],
)
def test_a_folder_of_another_training_is_refused(split, tmp_path, change):
    training.fit(Regression(epochs=2), split.train, None, FitContext(folder=tmp_path))
    learner, train, context = change(split)
    with pytest.raises(ConfigError, match="another folder"):
        training.fit(learner, train, None, dataclasses.replace(context, folder=tmp_path))


def test_a_loss_that_explodes_is_an_error_that_names_the_remedy(split):
    with pytest.raises(ConfigError, match="lower learning_rate"):
        training.fit(Regression(epochs=3, learning_rate=1e38), split.train)


def test_training_on_weights_of_0_alone_is_refused(split):
    silent = split.train.with_(interactions=split.train.interactions.assign(weight=np.float32(0)))
    with pytest.raises(DataError, match="no interaction of weight > 0"):
        training.fit(Regression(), silent)


def test_threads_are_set_inside_and_put_back():
    before = torch.get_num_threads()
    with training.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_large_validation_side_is_sampled_by_the_seed(split):
    users = [validation_users(split.valid, 7, seed) for seed in (0, 0, 1)]
    assert [len(u) for u in users] == [7, 7, 7]
    assert (users[0] == users[1]).all()
    assert (users[0] != users[2]).any()
    assert set(users[0]) <= set(split.valid.user)


NETWORKS = ["bpr", "lightgcn", "gru4rec", "sasrec", "bert4rec"]


@pytest.mark.parametrize("name", NETWORKS)
def test_bf16_learns_as_well(split, name):
    made = model(name, embedding_size=8, epochs=10, learning_rate=0.02, batch_size=32, precision="bf16")
    made.fit(split.train, split.valid)
    assert made.log.epochs[-1].loss < made.log.epochs[0].loss


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_compiled_network_learns_the_same(split, name):
    plain, compiled = (
        model(name, embedding_size=8, epochs=3, batch_size=32, compile=switch) for switch in (False, True)
    )
    for one in (plain, compiled):
        one.fit(split.train)
    assert compiled.log.epochs[-1].loss == pytest.approx(plain.log.epochs[-1].loss, rel=0.05)


def with_pairs(train: Dataset, users, preferred, other, weight=1.0) -> Dataset:
    columns = [users, preferred, other, np.full(len(users), weight, np.float32), "agent", "record"]
    return train.with_(pairs=pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))


def test_a_pair_counts_as_many_interactions_as_pair_weight_says(split):
    """With margins of 0 every pair costs log 2; over an epoch and divided by the interactions, w * P / N * log 2."""
    train = with_pairs(split.train, np.arange(10), np.arange(10), np.arange(10) + 1, weight=0.5)
    (term,) = training.pairs(train, 3.0, 64, lambda users, preferred, other: torch.zeros(len(users)))
    batches = term.batches(np.random.default_rng(0))
    users, preferred, other, weight = next(batches)
    assert (preferred == users).all()
    assert (other == users + 1).all()
    assert len(users) == round(64 * 10 / len(train))
    loss = term.loss(*(torch.as_tensor(a) for a in (users, preferred, other, weight)))
    assert loss.item() == pytest.approx(3.0 * 10 / len(train) * 0.5 * np.log(2))
    seen = np.concatenate([users, *(next(batches)[0] for _ in range(40))])
    assert set(seen) == set(range(10))


@pytest.mark.parametrize("case", ["no pairs", "weight 0", "pairs of weight 0"])
def test_there_is_no_pair_term_without_pairs_that_count(split, case):
    train = split.train if case == "no pairs" else with_pairs(split.train, [0], [1], [2], float(case == "weight 0"))
    assert training.pairs(train, 0.0 if case == "weight 0" else 1.0, 64, lambda *_: torch.zeros(1)) == []


def test_the_pair_term_prefers_what_the_pair_prefers(split):
    train = with_pairs(split.train, [0], [1], [2])
    margin = torch.zeros(1, requires_grad=True)
    (term,) = training.pairs(train, 1.0, 64, lambda *_: margin)
    term.loss(*(torch.as_tensor(a) for a in next(term.batches(np.random.default_rng(0))))).backward()
    assert margin.grad < 0
