"""What a search leaves: a table of every trial, and a study file; and what is no search."""

import numpy as np
import pandas as pd
import pytest
import yaml
from recloop.errors import ConfigError
from recloop.recsys.data import Dataset, load_split
from recloop.recsys.tuning import read_tuning, tune, tune_on
from recloop.simulators.studies.study import Study

from tests.recsys.tuning.searches import BPR, module, search


def test_every_trial_is_in_the_table_and_the_best_is_a_study(tmp_path):
    found = tune(search(tmp_path, models=["itemknn", BPR]), best=tmp_path / "shipped" / "best.yaml")
    for name in ("trials.parquet", "trials.csv", "trials.db", "best.yaml"):
        assert (tmp_path / "small" / name).exists()
    assert len(pd.read_parquet(tmp_path / "small" / "trials.parquet")) == len(found.table) == 6
    text = (tmp_path / "shipped" / "best.yaml").read_text()
    study = Study.model_validate(yaml.safe_load(text))
    assert study.train.models == tuple({name: told["hyperparameters"]} for name, told in found.best.items())
    for name, told in found.best.items():
        assert f"{name}: ndcg@10 {told['value']:.4f}" in text


def test_the_study_names_its_data_from_the_folder_it_lies_in(tmp_path):
    (tmp_path / "data").mkdir()
    rows = [(u, i, n) for u in range(12) for n, i in enumerate(np.random.default_rng(u).permutation(9)[:5])]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv(tmp_path / "data" / "log.csv", index=False)
    (tmp_path / "tune.yaml").write_text("name: t\ndata: {source: table, path: data/log.csv}\ntrain: {models: [ease]}\n")
    tuning = read_tuning(tmp_path / "tune.yaml", [f"out={tmp_path / 'deep' / 'out'}", "tune.trials=1"])
    tune(tuning)
    written = yaml.safe_load((tmp_path / "deep" / "out" / "t" / "best.yaml").read_text())
    assert written["data"]["path"] == "../../../data/log.csv"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": ["popularity"]}, "nothing to search in 'popularity'"),
        ({"models": ["eaze"]}, "did you mean 'ease'"),
        ({"space": {"eaze": {}}}, "tune.space names 'eaze'"),
        ({"models": ["ease"], "space": {"ease": {"l3": [1, 2]}}}, "no hyperparameter 'l3'"),
        ({"trials": None}, "neither trials nor minutes"),
        ({"epochs": {"itemknn": 3}}, "not trained in epochs"),
        ({"minutes": {"ease": 1.0}}, "tune.minutes names 'ease'"),
        ({"metric": "ndgc@10"}, "did you mean 'ndcg@10'"),
        ({"metric": "coverage@10"}, "property of all lists"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_is_read(tmp_path, changed, said):
    with pytest.raises(ValueError, match=said):
        search(tmp_path, **changed)


def test_two_of_the_same_hyperparameters_are_trained_once(tmp_path, monkeypatch):
    real, calls = module("tune").run_trial, []
    monkeypatch.setattr(module("tune"), "run_trial", lambda *a: calls.append(a) or real(*a))
    found = tune(search(tmp_path, models=["ease"], space={"ease": {"l2": [10.0, 100.0]}}, trials=8))
    assert len(found.table) == 8
    assert len(calls) == found.table["hyperparameters"].nunique() < 8


def test_sides_that_are_loaded_already_can_be_searched(tmp_path):
    split = load_split(search(tmp_path).data)
    assert isinstance(split.train, Dataset)
    found = tune_on(search(tmp_path, models=["ease"]), split.train, split.valid, say=lambda line: None)
    assert len(found.table) == 3


def test_a_foreign_file_is_not_replaced_by_best_unasked(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\n")
    searched = search(tmp_path, models=["itemknn"])
    with pytest.raises(ConfigError, match=r"mine\.yaml exists already"):
        tune(searched, best=mine)
    assert mine.read_text() == "name: mine\n"
    tune(searched, best=mine, overwrite=True)
    assert "itemknn" in mine.read_text()
    tune(searched, best=mine)  # its own is replaced
    mine.write_text(mine.read_text() + "steps: []\n")
    with pytest.raises(ConfigError, match="exists already"):
        tune(searched, best=mine)


def test_a_search_given_as_a_dict_is_that_of_its_settings(tmp_path):
    data = {"source": "bazaar", "n_users": 60, "n_items": 120}
    values = {"name": "small", "data": data, "train": {"models": ["itemknn"], "seeds": [0]}, "out": str(tmp_path)}
    result = tune(values, ["tune.trials=1"])
    assert len(result.table) == 1
    assert (tmp_path / "small" / "best.yaml").exists()
    with pytest.raises(ConfigError, match=r"^search: unknown key 'nme'; did you mean 'name'"):
        tune({**values, "nme": "other"})
    with pytest.raises(ConfigError, match="settings change a search file's values"):
        tune(search(tmp_path), ["tune.trials=1"])
