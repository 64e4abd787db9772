"""A search reads the train and validation sides alone."""

import numpy as np
import pandas as pd
import pytest
from recloop.recsys.data import DataConfig, Split, load_split
from recloop.recsys.tuning import tune

from tests.recsys.tuning.searches import BPR, module, outcome, search


class Canary:
    """A test side that sings when it is touched."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test side was read: {name}")


def test_the_test_side_is_never_read(tmp_path, monkeypatch):
    def with_canary(config):
        split = load_split(config)
        return Split(split.train, split.valid, Canary())

    monkeypatch.setattr(module("tune"), "load_split", with_canary)
    assert len(tune(search(tmp_path, models=["itemknn", BPR])).table) == 6


def test_another_test_side_changes_no_trial(tmp_path):
    def log(last):
        """20 users of 5 items each; every item is met before anybody's last one."""
        rng = np.random.default_rng(1)
        rows = [(u, int(i), n) for u in range(20) for n, i in enumerate(rng.permutation(12)[:5])]
        users, items, times = zip(*[(u, i, n) for u, i, n in rows if n < 4], strict=True)
        table = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": times})
        tests = pd.DataFrame(
            {"user_id": range(20), "item_id": [12 + (u * last) % 3 for u in range(20)], "timestamp": 9}
        )
        shown = pd.DataFrame({"user_id": "all", "item_id": range(15), "timestamp": range(15)})
        return pd.concat([shown, table, tests], ignore_index=True).astype({"user_id": str})

    found = []
    for last in (1, 2):
        file = tmp_path / f"{last}.csv"
        log(last).to_csv(file, index=False)
        found.append(tune(search(tmp_path / str(last), data={"source": "table", "path": file})))
    sides = [load_split(DataConfig(source="table", path=tmp_path / f"{last}.csv")).test for last in (1, 2)]
    assert sides[0].fingerprint != sides[1].fingerprint
    assert outcome(found[0]) == outcome(found[1])


def test_a_model_that_learns_the_validation_side_is_refused(tmp_path):
    with pytest.raises(ValueError, match="refit learns from the validation side"):
        search(tmp_path, models=[{"ease": {"refit": True}}])
