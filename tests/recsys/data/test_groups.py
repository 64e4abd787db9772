"""Head and tail, cold and warm, and what `describe` says of a dataset."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from recloop.recsys.data import ColdConfig, Dataset, HeadConfig, cold, describe, head, read_movielens
from recloop.recsys.data.summary import gini


def of(pairs: list[tuple[int, int]]) -> Dataset:
    return Dataset.of("d", pd.DataFrame(pairs, columns=["user_id", "item_id"]))


COUNTS = of([(u, i) for i, n in enumerate([1, 6, 2, 1, 10]) for u in range(n)])
"""Items with 1, 6, 2, 1, 10 interactions; users with 5, 3, 2, 2, 2, 2, 1, 1, 1, 1."""


def test_the_head_is_the_most_popular_fifth_unless_said_otherwise() -> None:
    assert head(COUNTS).tolist() == [False, False, False, False, True]
    assert head(COUNTS, HeadConfig(value=0.21)).tolist() == [False, True, False, False, True]
    assert head(COUNTS, HeadConfig(by="count", value=2)).tolist() == [False, True, True, False, True]
    assert head(COUNTS, HeadConfig(by="share", value=0.5)).tolist() == [False, False, False, False, True]
    assert head(COUNTS, HeadConfig(by="share", value=0.51)).tolist() == [False, True, False, False, True]
    assert head(COUNTS, HeadConfig(by="share", value=1)).all()


def test_equal_popularity_at_the_border_goes_by_code() -> None:
    even = of([(0, i) for i in range(10)])
    assert np.flatnonzero(head(even)).tolist() == [0, 1]


def test_the_cold_are_the_shortest_fifth_and_those_train_never_saw() -> None:
    assert COUNTS.user_counts.tolist() == [5, 3, 2, 2, 2, 2, 1, 1, 1, 1]
    assert np.flatnonzero(cold(COUNTS)).tolist() == [6, 7]
    assert cold(COUNTS, ColdConfig(by="count", value=2)).tolist() == [False] * 2 + [True] * 8
    train = COUNTS.rows(COUNTS.user != 0)
    assert cold(train)[0]
    assert not head(train.rows(train.item != 4))[4]


@pytest.mark.parametrize("bad", [{"value": 20}, {"by": "quantil"}, {"value": 0}, {"top": 0.2}])
def test_a_wrong_setting_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HeadConfig.model_validate(bad)
    with pytest.raises(ValidationError):
        ColdConfig.model_validate(bad)


def test_gini_is_zero_for_equals_and_n_minus_1_over_n_for_one_taking_all() -> None:
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert np.isnan(gini(np.array([0, 0])))


def test_describe_counts_what_can_be_counted_by_hand() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [5, 6, 6, 5], "timestamp": [9, 9, 10, 9]})
    items = pd.DataFrame({"item_id": [5, 6], "title": ["x", " "]})
    said = describe(Dataset.of("d", frame, items))
    assert (said["users"], said["items"], said["interactions"]) == (2, 2, 4)
    assert said["density"] == 0.75
    assert said["repeated_pairs"] == 1
    assert said["tie_share"] == 0.5
    assert said["text_coverage"] == {"title": 0.5, "categories": 0.0}
    assert said["time_span"] is None
    assert said["values"] == {"1": 4}
    assert said["history_length"] == {"min": 1, "median": 2.0, "max": 3}


def test_describe_of_100k_is_plain_json_and_tells_its_ties(shared_data: Path) -> None:
    said = json.loads(json.dumps(describe(read_movielens(shared_data / "ml-100k"))))
    assert said["values"] == {"1": 6110, "2": 11370, "3": 27145, "4": 34174, "5": 21201}
    assert said["time_span"]["first"].startswith("1997-09-20")
    assert 0.7 < said["tie_share"] < 0.8


def test_many_different_values_are_counted_in_ranges() -> None:
    frame = pd.DataFrame({"user_id": 0, "item_id": range(100), "value": np.linspace(0, 1, 100)})
    assert list(describe(Dataset.of("d", frame))["values"].values()) == [10] * 10
