"""What a study trains on: raw, refined, and controls that differ by training seed."""

import numpy as np
import pandas as pd
from recloop.recsys.controls import random_edit
from recloop.recsys.data import Dataset
from recloop.recsys.data.bazaar import bazaar
from recloop.simulators.studies.variants import size_of, variants, with_facts

RAW = bazaar(seed=2, users=20, items=60, longest=20)
CONTROLS = ("random_edit", "popularity_edit")


def refined(rows: int = 30) -> Dataset:
    weight = RAW.weight.copy()
    weight[:rows] = 0.5
    return RAW.with_(interactions=RAW.interactions.assign(weight=weight))


def test_without_agents_raw_stands_alone() -> None:
    [only] = variants(RAW, None, CONTROLS, seed=0)
    assert (only.name, only.by_seed) == ("raw", False)
    assert only.train(0) is RAW
    assert only.train(1) is RAW


def test_agents_work_stands_between_raw_and_its_controls_in_the_order_asked_for() -> None:
    edit = refined()
    found = variants(RAW, edit, CONTROLS, seed=0)
    assert [(v.name, v.by_seed) for v in found] == [
        ("raw", False), ("refined", False), ("random_edit", True), ("popularity_edit", True)
    ]  # fmt: skip
    assert found[1].train(7) is edit
    assert [v.name for v in variants(RAW, edit, ("popularity_edit",), 0)] == ["raw", "refined", "popularity_edit"]
    assert [v.name for v in variants(RAW, edit, (), 0)] == ["raw", "refined"]


def test_a_control_makes_as_many_edits_as_the_agent() -> None:
    edit = refined()
    for control in variants(RAW, edit, CONTROLS, seed=0)[2:]:
        for seed in (0, 1):
            drawn = control.train(seed)
            assert size_of(RAW, drawn) == size_of(RAW, edit) == {"reweighted": 30}
            assert set(drawn.interactions["agent"]) == {"", control.name}


def test_a_control_is_drawn_anew_for_each_training_seed_and_the_same_again() -> None:
    control = variants(RAW, refined(), CONTROLS, seed=0)[2]
    prints = [control.train(seed).fingerprint for seed in (0, 1, 2, 0)]
    assert len(set(prints)) == 3
    assert prints[0] == prints[3]
    again = variants(RAW, refined(), CONTROLS, seed=0)[2]
    assert again.train(1).fingerprint == prints[1]
    other = variants(RAW, refined(), CONTROLS, seed=1)[2]
    assert other.train(0).fingerprint != prints[0]


def test_the_draw_is_the_one_that_is_declared() -> None:
    control = variants(RAW, refined(), CONTROLS, seed=4)[2]
    declared = random_edit(RAW, refined(), np.random.default_rng([4, 9, 0]))
    assert control.train(9).fingerprint == declared.fingerprint


def test_two_controls_of_one_seed_do_not_share_their_luck() -> None:
    first, second = variants(RAW, refined(), ("random_edit", "random_edit"), seed=0)[2:]
    assert first.train(0).fingerprint != second.train(0).fingerprint


def test_only_kinds_of_edits_that_occur_are_counted() -> None:
    assert size_of(RAW, RAW) == {}
    stated = pd.DataFrame({"user": [0], "preferred": [1], "other": [2], "weight": [0.5], "agent": "a", "record": "r"})
    assert size_of(RAW, refined(3).with_(pairs=stated)) == {"reweighted": 3, "pairs": 1}


def test_the_catalogues_own_vectors_join_the_controls_where_agents_wrote_vectors() -> None:
    written = RAW.with_(item_vectors=np.ones((RAW.n_items, 2), np.float32))
    assert with_facts(("random_edit",), RAW, written) == ("random_edit", "facts_only")
    assert with_facts(("facts_only", "random_edit"), RAW, written) == ("facts_only", "random_edit")
    assert with_facts(("random_edit",), RAW, refined()) == ("random_edit",), "no vectors, nothing to compare"
    assert with_facts(("random_edit",), written, written) == ("random_edit",), "raw has them as well"
    assert with_facts((), RAW, written) == ()
    assert with_facts(("random_edit",), RAW, None) == ()
