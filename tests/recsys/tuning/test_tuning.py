"""A search reads the validation side alone, goes on where it was killed, keeps every trial, and makes a study file."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from recloop.errors import ConfigError, RunError
from recloop.recsys.data import DataConfig, Dataset, Split, load_split
from recloop.recsys.models import model
from recloop.recsys.tuning import Tuning, read_tuning, tune, tune_on
from recloop.simulators.study import Study

MODELS = ["itemknn", {"bpr": {"epochs": 2, "batch_size": 256}}]


def search(out, *, data=None, models=MODELS, seeds=(0,), name="small", **how) -> Tuning:
    data = data or {"source": "bazaar", "n_users": 60, "n_items": 120}
    train = {"models": models, "seeds": list(seeds)}
    return Tuning(name=name, data=DataConfig(**data), train=train, tune={"trials": 5, **how}, out=out)


def outcome(found) -> list[tuple]:
    return found.table.drop(columns="seconds").to_records(index=False).tolist()


def module(name):
    return sys.modules[f"recloop.recsys.tuning.{name}"]


# --- the validation side alone ----------------------------------------------------------------------------------------


class Canary:
    """A test side that sings when it is touched."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test side was read: {name}")


def test_the_test_side_is_never_read(tmp_path, monkeypatch):
    def with_canary(config):
        split = load_split(config)
        return Split(split.train, split.valid, Canary())

    monkeypatch.setattr(module("tune"), "load_split", with_canary)
    assert len(tune(search(tmp_path)).table) == 10


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
        found.append(tune(search(tmp_path / str(last), data={"source": "table", "path": file}, trials=6)))
    sides = [load_split(DataConfig(source="table", path=tmp_path / f"{last}.csv")).test for last in (1, 2)]
    assert sides[0].fingerprint != sides[1].fingerprint
    assert outcome(found[0]) == outcome(found[1])


def test_a_model_that_learns_the_validation_side_is_refused(tmp_path):
    with pytest.raises(ValueError, match="refit learns from the validation side"):
        search(tmp_path, models=[{"ease": {"refit": True}}])


# --- what a trial is --------------------------------------------------------------------------------------------------


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
    from recloop.recsys.evaluation import evaluate
    from recloop.recsys.models import Circumstances

    found = tune(search(tmp_path, seeds=(3, 4), trials=2))
    row = found.table[found.table["model"] == "bpr"].iloc[1]
    split = load_split(search(tmp_path).data)
    again = []
    for seed in (3, 4):
        fitted = model("bpr", **json.loads(row["hyperparameters"]))
        fitted.fit(split.train, split.valid, Circumstances(seed, threads=1))
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


# --- budgets, kills, resumption ---------------------------------------------------------------------------------------


def test_a_search_that_is_killed_in_a_trial_makes_the_trials_that_it_would_have_made(tmp_path, monkeypatch):
    how = {"models": ["ease", "itemknn"], "trials": 10}
    whole = tune(search(tmp_path / "whole", **how))
    real, calls = module("tune").judged, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) in (3, 11, 14):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module("tune"), "judged", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tune(search(tmp_path / "killed", **how))
    resumed = tune(search(tmp_path / "killed", **how))
    assert outcome(resumed) == outcome(whole)
    assert list(resumed.table["trial"]) == [*range(10), *range(10)]


def test_a_larger_budget_goes_on_from_the_trials_there_are(tmp_path):
    few, more = (tune(search(tmp_path / "a", models=["ease"], trials=n)) for n in (3, 9))
    assert outcome(more)[:3] == outcome(few)
    assert outcome(more) == outcome(tune(search(tmp_path / "b", models=["ease"], trials=9)))


def test_minutes_end_a_search_after_the_trial_that_passes_them(tmp_path, monkeypatch):
    real = module("tune").judged

    def slow(*arguments):
        found = real(*arguments)
        return type(found)(found.figures, found.epochs, 25.0)

    monkeypatch.setattr(module("tune"), "judged", slow)
    how = {"models": ["ease"], "trials": None, "minutes": 1.0}
    assert len(tune(search(tmp_path, **how)).table) == 3
    assert len(tune(search(tmp_path, **how)).table) == 3, "the minutes of a resumed search count"


@pytest.mark.parametrize(
    ("changed", "said"), [({"seed": 1}, "another seed"), ({"metric": "recall@5"}, "another metric")]
)
def test_a_folder_of_another_search_is_refused(tmp_path, changed, said):
    tune(search(tmp_path, models=["ease"]))
    with pytest.raises(RunError, match=said):
        tune(search(tmp_path, models=["ease"], **changed))


def test_two_searches_do_not_share_a_folder(tmp_path):
    with module("storage").alone(search(tmp_path).folder), pytest.raises(RunError, match="searched by another process"):
        tune(search(tmp_path))


def test_trials_are_cut_short_where_the_file_says_so_and_the_study_is_too(tmp_path):
    found = tune(search(tmp_path, models=["bpr"], epochs={"bpr": 2}, trials=2))
    assert all(json.loads(epochs)[0] <= 2 for epochs in found.table["epochs"])
    written = yaml.safe_load((tmp_path / "small" / "best.yaml").read_text())
    assert written["train"]["models"][0]["bpr"]["epochs"] == 2


# --- what is left on disk ---------------------------------------------------------------------------------------------


def test_every_trial_is_in_the_table_and_the_best_is_a_study(tmp_path):
    found = tune(search(tmp_path), best=tmp_path / "shipped" / "best.yaml")
    for name in ("trials.parquet", "trials.csv", "trials.db", "best.yaml"):
        assert (tmp_path / "small" / name).exists()
    assert len(pd.read_parquet(tmp_path / "small" / "trials.parquet")) == len(found.table) == 10
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
    real, calls = module("tune").judged, []
    monkeypatch.setattr(module("tune"), "judged", lambda *a: calls.append(a) or real(*a))
    found = tune(search(tmp_path, models=["ease"], space={"ease": {"l2": [10.0, 100.0]}}, trials=8))
    assert len(found.table) == 8
    assert len(calls) == found.table["hyperparameters"].nunique() < 8


def test_sides_that_are_loaded_already_can_be_searched(tmp_path):
    split = load_split(search(tmp_path).data)
    assert isinstance(split.train, Dataset)
    found = tune_on(search(tmp_path, models=["ease"]), split.train, split.valid, say=lambda line: None)
    assert len(found.table) == 5
