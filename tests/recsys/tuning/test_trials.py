"""A trial: its hyperparameters, what it is worth, and when it fails."""

import json

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError
from recloop.recsys.data import load_split
from recloop.recsys.evaluation import evaluate
from recloop.recsys.models import FitContext, model
from recloop.recsys.tuning import tune

from tests.recsys.tuning.searches import BPR, search


def test_the_first_trial_has_the_defaults_and_the_best_is_no_worse(tmp_path):
    found = tune(search(tmp_path, models=["ease"]))
    first = json.loads(found.table["hyperparameters"][0])
    assert first == {"l2": model("ease").config.l2}
    best = found.best["ease"]
    assert best["defaults"] == found.table["value"][0] <= best["value"] == found.table["value"].max()


def test_a_fixed_hyperparameter_is_kept_and_not_searched(tmp_path):
    found = tune(search(tmp_path, models=[{"itemknn": {"weighting": "cosine"}}]))
    tried = [json.loads(text) for text in found.table["hyperparameters"]]
    assert {settings["weighting"] for settings in tried} == {"cosine"}
    assert all("k1" not in settings for settings in tried), "k1 and b matter to bm25 alone"


def test_a_field_is_searched_only_where_another_field_gives_it_a_meaning(tmp_path):
    found = tune(search(tmp_path, models=["itemknn"], trials=15))
    tried = [json.loads(text) for text in found.table["hyperparameters"]]
    assert {settings["weighting"] for settings in tried} > {"bm25"}
    for settings in tried:
        assert ("k1" in settings) is (settings["weighting"] == "bm25")


def test_the_files_own_space_comes_in_place_of_the_models(tmp_path):
    space = {"ease": {"l2": {"low": 3, "high": 5}}, "bpr": {"embedding_size": [4, 8]}}
    found = tune(search(tmp_path, models=["ease", {"bpr": {"epochs": 1}}], space=space))
    tried = {name: [json.loads(t) for t in part["hyperparameters"]] for name, part in found.table.groupby("model")}
    assert {settings["l2"] for settings in tried["ease"][1:]} <= {3, 4, 5}
    assert {settings.get("embedding_size") for settings in tried["bpr"]} <= {4, 8}
    assert all("learning_rate" not in settings for settings in tried["bpr"])


def test_a_trial_is_worth_the_mean_over_the_seeds_of_what_training_again_gives(tmp_path):

    found = tune(search(tmp_path, models=["itemknn", BPR], seeds=(3, 4), trials=2))
    row = found.table[found.table["model"] == "bpr"].iloc[1]
    split = load_split(search(tmp_path).data)
    again = []
    for seed in (3, 4):
        fitted = model("bpr", **json.loads(row["hyperparameters"]))
        fitted.fit(split.train, split.valid, FitContext(seed, threads=1))
        again.append(evaluate(fitted, split, metrics=["ndcg@10"], side="valid").mean("ndcg@10"))
    assert json.loads(row["figures"]) == pytest.approx(again, abs=1e-12)
    assert row["value"] == pytest.approx(np.mean(again))
    knn = found.table[found.table["model"] == "itemknn"].iloc[0]
    assert len(json.loads(knn["figures"])) == 1, "a model without randomness is fitted once"


def test_a_trial_that_cannot_be_trained_is_kept_with_its_reason_and_the_search_goes_on(tmp_path):
    space = {"ease": {"max_items": [10, 1000]}}
    found = tune(search(tmp_path, models=["ease"], space=space, trials=6))
    failed = found.table[found.table["state"] == "failed"]
    assert 0 < len(failed) < 6
    assert failed["error"].str.contains("items need a matrix").all()
    assert found.best["ease"]["hyperparameters"] == {"max_items": 1000}


def test_a_search_none_of_whose_trials_can_be_trained_ends_with_the_reason(tmp_path):
    with pytest.raises(ConfigError, match="items need a matrix"):
        tune(search(tmp_path, models=[{"ease": {"max_items": 10}}], trials=6))


def test_clicks_are_judged_by_their_own_metrics(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(u, i, n, rng.choice([2, 5])) for u in range(20) for n, i in enumerate(rng.permutation(12)[:6])]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "value"])
    table.to_csv(tmp_path / "log.csv", index=False)
    data = {"source": "table", "path": tmp_path / "log.csv"}
    found = tune(search(tmp_path, data=data, models=[{"fm": {"epochs": 2}}], trials=2, metric="logloss"))
    assert found.best["fm"]["value"] == found.table["value"].min()
    with pytest.raises(ConfigError, match="logloss needs chances of clicks"):
        tune(search(tmp_path / "other", models=["ease"], metric="logloss", trials=3))
