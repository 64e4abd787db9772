"""Popularity counts weights."""

import numpy as np
import pandas as pd
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.models import model


def test_the_score_is_the_sum_of_weights_for_every_user():
    table = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "weight": [1.0, 2.0, 0.5]})
    data = Dataset.of("three rows", table)
    popular = model("popularity")
    popular.fit(data)
    assert popular.score(np.array([0, 1], np.int32), data).tolist() == [[1.5, 2.0], [1.5, 2.0]]
