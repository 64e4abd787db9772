"""Parts of what was generated, the neighbours that would be added instead, RealPair and the stop rule, by hand."""

import numpy as np
import pandas as pd
import pytest
from recloop.agents.fusion import added, is_generated
from recloop.recsys.data.dataset import Dataset, Split
from recloop.simulators.i2i.additions import neighbours_instead, part, surest, thinned
from recloop.simulators.i2i.realpair import real_pairs
from recloop.simulators.i2i.stop import warnings


def dataset(rows, items=None):
    listed = None if items is None else pd.DataFrame({"item_id": items})
    return Dataset.of("made", pd.DataFrame(rows, columns=["user_id", "item_id"]), items=listed)


@pytest.fixture
def raw():
    """Users 0-3 of items a b c, users 4-7 of items d e f; user 0 lacks c, user 4 lacks f."""
    rows = [(u, i) for u in range(4) for i in "abc" if (u, i) != (0, "c")]
    return dataset(rows + [(u, i) for u in range(4, 8) for i in "def" if (u, i) != (4, "f")])


def code(data, item):
    return data.items["item_id"].tolist().index(item)


def grown(raw, pairs, confidence=None):
    rows = pd.DataFrame({"user": [u for u, _ in pairs], "item": [code(raw, i) for _, i in pairs], "record": ""})
    return added(raw, rows.assign(confidence=confidence if confidence is not None else 0.5), "generator")


def pairs_of(data, raw):
    had = set(zip(raw.user.tolist(), raw.item.tolist(), strict=True))
    ids = data.items["item_id"].tolist()
    both = zip(data.user.tolist(), data.item.tolist(), strict=True)
    return {(u, ids[i]) for u, i in both if (u, i) not in had}


def test_a_part_holds_the_chosen_rows_and_every_real_one(raw):
    made = grown(raw, [(0, "d"), (1, "e"), (2, "f")])
    some = part(made, np.array([True, False, True]))
    assert pairs_of(some, raw) == {(0, "d"), (2, "f")}
    assert (~is_generated(some)).sum() == len(raw)


def test_a_larger_random_part_holds_the_smaller_one():
    few, many = (thinned(50, size, np.random.default_rng(7)) for size in (10, 30))
    assert (few.sum(), many.sum()) == (10, 30)
    assert (few & many).sum() == 10


def test_the_surest_rows_come_first_and_silence_last():
    sure = np.array([0.2, np.nan, 0.9, 0.5, 0.9])
    for size, expected in ((2, {2, 4}), (3, {2, 3, 4}), (4, {0, 2, 3, 4})):
        kept = surest(sure, size, np.random.default_rng(0))
        assert set(np.flatnonzero(kept).tolist()) == expected


def test_neighbours_are_added_to_the_same_users_in_the_same_number(raw):
    made = grown(raw, [(0, "d"), (4, "a")])
    control = neighbours_instead(raw, made, np.ones(raw.n_items, bool))
    # What their fellows have and they lack, not what was generated.
    assert pairs_of(control, raw) == {(0, "c"), (4, "f")}
    assert (control.interactions["origin"] == "control").sum() == 2
    assert not is_generated(control).any()


def test_neighbours_are_as_many_of_the_head_and_of_the_tail(raw):
    head = np.zeros(raw.n_items, bool)
    head[[code(raw, i) for i in "abc"]] = True
    made = grown(raw, [(0, "d"), (0, "e"), (5, "a")])  # two of the tail for user 0, one of the head for user 5
    added_to = pairs_of(neighbours_instead(raw, made, head), raw)
    assert {i for u, i in added_to if u == 0} < set("def")
    assert len(added_to) == 3
    assert {i for u, i in added_to if u == 5} < set("abc")


def test_realpair_counts_new_pairs_that_stand_in_the_future(raw):
    future = dataset([(0, "c"), (0, "d"), (4, "f")], None)
    ids = raw.items["item_id"].tolist()
    frame = future.interactions.assign(
        user=future.users["user_id"].to_numpy()[future.user].astype(np.int32),
        item=np.array([ids.index(i) for i in future.items["item_id"].to_numpy()[future.item]], np.int32),
    )
    valid = raw.with_(interactions=frame[frame["user"] == 0])
    test = raw.with_(interactions=frame[frame["user"] == 4])
    split = Split(raw, valid, test)
    variants = {
        "all true": [grown(raw, [(0, "c"), (0, "d"), (4, "f")])],
        "one of two": [grown(raw, [(0, "c"), (0, "e")])],
        "none": [grown(raw, [(5, "a"), (6, "a")])],
        "drawn": [grown(raw, [(0, "c"), (0, "e")]), grown(raw, [(0, "e"), (0, "f")])],
        "nothing": [raw],
    }
    table = real_pairs(split, variants, "none", np.random.default_rng(0), draws=200).set_index("variant")
    assert table["realpair"].tolist()[:4] == [1, 0.5, 0, 0.25]
    assert np.isnan(table.loc["nothing", "realpair"])
    assert table.loc["drawn", "rows"] == 2
    assert table.loc["all true", "difference"] == 1
    assert (table.loc["all true", "difference_low"], table.loc["all true", "low"]) == (1, 1)


def compared(group, low, high, variant="generated", metric="recall@10"):
    row = {"model": "swing", "variant": variant, "group": group, "metric": metric, "against": "raw"}
    return row | {"mean": 0.1, "baseline": 0.11, "difference": (low + high) / 2, "low": low, "high": high}


def test_the_stop_rule_warns_of_head_items_and_warm_users_alone():
    rows = [
        compared("head", -0.02, -0.001),
        compared("warm", -0.02, 0.001),
        compared("tail", -0.02, -0.01),
        compared("warm", -0.03, -0.01, variant="both_filters"),
        compared("head", -0.03, -0.01, metric="ndcg@10"),
        compared("head", 0.01, 0.03, variant="random"),
        compared("head", np.nan, np.nan, variant="popularity"),
    ]
    told = warnings(pd.DataFrame(rows), "recall@10")
    assert len(told) == 2
    assert "generated: recall@10 of head falls by 0.0105" in told[0]
    assert "both_filters: recall@10 of warm" in told[1]
