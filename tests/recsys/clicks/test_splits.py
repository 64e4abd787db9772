"""The random split of rows."""

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError
from recloop.recsys.clicks import random_rows
from recloop.recsys.data.dataset import Dataset


def rows(n):
    return Dataset.of("rows", pd.DataFrame({"user_id": np.arange(n) % 7, "item_id": np.arange(n)}))


def test_every_row_is_on_exactly_one_side():
    data = rows(103)
    split = random_rows(data)
    assert (len(split.train), len(split.valid), len(split.test)) == (83, 10, 10)
    items = np.concatenate([split.train.item, split.valid.item, split.test.item])
    assert sorted(items.tolist()) == list(range(103))


def test_a_seed_is_a_split():
    sides = [set(random_rows(rows(100), seed=seed).test.item.tolist()) for seed in (0, 0, 1)]
    assert sides[0] == sides[1] != sides[2]


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(ConfigError, match="below 1"):
        random_rows(rows(10), 0.5, 0.5)
    with pytest.raises(DataError, match="too few"):
        random_rows(rows(5))
