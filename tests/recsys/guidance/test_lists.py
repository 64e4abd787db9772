"""What a step takes: whole users, each row once, each pair in its place; alone or parted among processes."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.recsys.data.bazaar import bazaar
from recloop.recsys.data.splits import leave_last_out
from recloop.recsys.guidance import Guided, GuidedConfig, PairScores
from recloop.recsys.guidance.lists import Lists, part_of_lists
from recloop.recsys.guidance.pairs import widest_pairs
from recloop.recsys.guidance.term import Guidance
from recloop.recsys.guidance.truth import apart
from recloop.recsys.models import FitContext
from recloop.recsys.models.lightgcn import Graph


def table(users=9, each=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(3 * u, i, rng.random()) for u in range(users) for i in rng.choice(30, each, replace=False)]
    return PairScores.of(pd.DataFrame(rows, columns=["user", "item", "score"]))


def pairs_of(step, scores):
    users, place, items, rows, told, better, worse = step
    assert (scores.user[rows] == users[place]).all()
    assert (scores.item[rows] == items).all()
    np.testing.assert_array_equal(scores.score[rows], told)
    return list(zip(rows[better].tolist(), rows[worse].tolist(), strict=True))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 4))
def test_an_epochs_steps_meet_every_pair_once_whole_users_at_a_time(seed, size, parts):
    scores = table(seed=seed)
    pairs = widest_pairs(scores, 30, 4, 0.2)
    lists = Lists.of(scores, pairs)
    order = np.random.default_rng(seed).permutation(len(lists))
    met = []
    for step in lists.steps(order, size):
        met += pairs_of(step, scores)
        assert len(np.unique(step[3])) == len(step[3])
        assert len(step[0]) <= size
        parted = [part_of_lists(step, which, parts) for which in range(parts)]
        assert [pair for part, _ in parted for pair in pairs_of(part, scores)] == pairs_of(step, scores)
        assert abs(sum(share for _, share in parted) - 1) < 1e-9
    assert sorted(met) == sorted(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))
    np.testing.assert_array_equal(np.sort(lists.rows(order)), np.unique(np.concatenate([pairs.better, pairs.worse])))
    better, worse = lists.pairs(order[:2])
    assert set(scores.user[better]) == set(lists.user[order[:2]])
    np.testing.assert_allclose(scores.score[better] - scores.score[worse] >= 0.2 - 1e-6, True)


def test_without_pairs_a_step_has_every_scored_row_of_its_users():
    scores = table()
    lists = Lists.of(scores, None)
    [step] = lists.steps(np.array([4, 1]), 5)
    assert step[0].tolist() == [12, 3]
    assert step[3].tolist() == [*range(24, 30), *range(6, 12)]
    assert not len(step[5])
    (_, half), _ = (part_of_lists(step, which, 2) for which in range(2))
    assert half == 0.5


SPLIT = leave_last_out(bazaar(seed=2, users=40, items=60, longest=14))
SMALL = {"epochs": 4, "embedding_size": 8, "learning_rate": 0.02, "batch_size": 64}


def everything():
    rng, rows = np.random.default_rng(0), []
    for user in range(40):
        unseen = np.setdiff1d(np.arange(60), SPLIT.train.history(user)).tolist()
        rows += [(user, item, rng.random()) for item in unseen]
    return PairScores.of(pd.DataFrame(rows, columns=["user", "item", "score"]))


def term_of(**changes):
    one = Guided(GuidedConfig(model="bpr", settings=SMALL, **changes), everything())
    truth = apart(SPLIT.valid, 0.5, 0)[1]
    guidance = Guidance.of(one.config, one.scores, SPLIT.train, truth)
    network = one.base.build(SPLIT.train)
    [term] = guidance.term(one.base, network, guidance.gate(SPLIT.train, 1), SPLIT.train)
    return term


@pytest.mark.parametrize("form", ["hinge", "logistic", "pointwise"])
def test_the_losses_of_a_steps_parts_add_up_to_its_loss(form):
    term = term_of(gate="paper", form=form)
    step = next(iter(term.batches(np.random.default_rng(0))))
    whole = term.loss(*map(torch.as_tensor, step))
    parted = [term.part(step, which, 3) for which in range(3)]
    torch.testing.assert_close(sum(share * term.loss(*map(torch.as_tensor, part)) for part, share in parted), whole)


def test_what_is_scaled_over_a_whole_step_cannot_be_parted():
    assert term_of(gate="normalised").part is None
    assert term_of(gate="open", form="distilled").part is None


def test_the_propagation_that_both_losses_share_gives_the_gradients_of_two():
    def trained():
        one = Guided(GuidedConfig(model="lightgcn", settings=SMALL, gate="open", weight=1.0), everything())
        one.fit(SPLIT.train, None, FitContext(seed=1))
        assert one.base.network.last is None
        return one.score(np.arange(40, dtype=np.int32), SPLIT.train)

    shared = trained()
    keeping = Graph.__setattr__
    with pytest.MonkeyPatch.context() as patch:
        # What the main term propagated is lost: the guidance then propagates by itself.
        patch.setattr(Graph, "__setattr__", lambda self, name, to: keeping(self, name, None if name == "last" else to))
        apart = trained()
    np.testing.assert_allclose(shared, apart, rtol=1e-4, atol=1e-5)


def test_a_sequence_model_that_is_cut_off_goes_on_as_if_it_had_not_been(tmp_path):
    settings = SMALL | {"batch_size": 16, "blocks": 1, "max_length": 8}

    def trained(epochs, folder=None):
        config = GuidedConfig(model="sasrec", settings=settings | {"epochs": epochs}, weight=2.0, passes=0.3)
        one = Guided(config, everything())
        one.fit(SPLIT.train, SPLIT.valid, FitContext(seed=3, folder=folder))
        return one

    whole = trained(4)
    trained(2, tmp_path)
    again = trained(4, tmp_path)
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_array_equal(whole.score(users, SPLIT.train), again.score(users, SPLIT.train))
    torch.testing.assert_close(whole.gate.inputs, again.gate.inputs)
