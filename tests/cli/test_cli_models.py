"""The verbs that make, judge and serve recommenders, as a user meets them: they work, and a fault is one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recloop.cli.app import main

STUDY = """
name: small
data: {source: bazaar, n_users: 60, n_items: 120}
train:
  models: [itemknn, popularity, {bpr: {epochs: 3, embedding_size: 8}}]
  seeds: [0]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a study file and three trained models."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "study.yaml").write_text(STUDY)
    (folder / "tune.yaml").write_text(STUDY.replace("popularity, ", "") + "tune: {trials: 2}\n")
    for name in ("itemknn", "popularity", "bpr"):
        with pytest.MonkeyPatch.context() as patch:
            assert called(patch, "train", folder / "study.yaml", folder / name, "--model", name) == 0
    return folder


def called(monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["recloop", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the command line in this process; gives (exit code, stdout, stderr)."""

    def run(*words):
        capsys.readouterr()
        code = called(monkeypatch, *words)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return run


# --- what each verb prints --------------------------------------------------------------------------------------------


def test_training_says_what_the_model_is_worth_and_where_it_lies(home, call):
    code, out, _ = call("train", home / "study.yaml", home / "again", "--model", "itemknn", "--json")
    told = json.loads(out)
    assert code == 0
    assert 0 < told["validation"]["ndcg@10"] < 1
    assert told["learnt_from"] == "train"
    assert not list(home.glob("*.partial")) + list(home.glob("*.training"))


def test_recommendations_of_a_user_are_what_the_python_function_gives(home, call):
    import recloop

    code, out, _ = call("recommend", home / "itemknn", "--user", "u0007", "-k", "3", "--json")
    found = recloop.recommend(home / "itemknn", ["u0007"], 3)
    assert code == 0
    assert [row["item_id"] for row in json.loads(out)] == found["item_id"].tolist()
    assert len(found) == 3
    code, out, _ = call("recommend", home / "itemknn", "--user", "u0007", "-k", "3")
    assert found["item_id"][0] in out


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_lists_of_everybody_are_judged_like_the_model_that_made_them(home, call, ending):
    file = home / f"lists.{ending}"
    code, _, _ = call("recommend", home / "itemknn", "--out", file, "--at", "test", "-k", "10")
    assert code == 0
    code, out, _ = call("evaluate", file, home / "itemknn", "--json")
    table = pd.DataFrame(json.loads(out)["table"])
    means = table[table["metric"] == "ndcg@10"].pivot(index="group", columns="ranking", values="mean")
    assert code == 0
    assert set(means.index) >= {"all", "head", "tail", "cold", "warm"}
    assert any(name.startswith("history") for name in means.index)
    # The model's own scores tie at their expected place, its lists in the order of the codes: the means are near.
    np.testing.assert_allclose(means["lists"]["all"], means["itemknn"]["all"], atol=0.02)


def test_a_comparison_says_which_ranking_is_better_and_how_sure_that_is(home, call):
    values = home / "values.parquet"
    words = ("--against", home / "popularity", "--group", "tail", "--metric", "ndcg@5", "--metric", "hr@20")
    code, out, _ = call("evaluate", home / "itemknn", home / "bpr", *words, "--values", values, "--json")
    told = json.loads(out)
    assert code == 0
    rows = [row for row in told["table"] if row["ranking"] != "popularity"]
    assert {(row["group"], row["metric"]) for row in rows} == {
        (g, m) for g in ("all", "tail") for m in ("ndcg@5", "hr@20")
    }
    for row in rows:
        assert row["d_low"] <= row["difference"] <= row["d_high"]
        assert row["p"] <= row["p_holm"]
    table = pd.read_parquet(values)
    of = table[(table["group"] == "all") & (table["metric"] == "ndcg@5")].groupby("ranking")["value"].mean()
    [knn] = [row for row in rows if (row["ranking"], row["group"], row["metric"]) == ("itemknn", "all", "ndcg@5")]
    assert knn["difference"] == pytest.approx(of["itemknn"] - of["popularity"])
    assert {"user_id", "ranking"} <= set(table.columns)
    code, out, _ = call("evaluate", home / "itemknn", *words)
    assert "minus popularity" in out
    assert "seen_items: masked" in out, "the protocol stands beside the numbers"


@pytest.mark.parametrize("model", ["itemknn", "bpr"])
def test_similar_items_are_printed_with_their_titles(home, call, model):
    code, out, _ = call("similar", home / model, "--item", "g0003", "-k", "2", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["rank"] for row in rows] == [1, 2]
    assert all(row["similar_id"] != "g0003" and row["similar_title"] for row in rows)


def test_vectors_are_written_for_items_and_users(home, call, tmp_path):
    code, _, _ = call("vectors", home / "bpr", tmp_path / "out")
    assert code == 0
    assert np.load(tmp_path / "out" / "items.npy").shape[1] == np.load(tmp_path / "out" / "users.npy").shape[1] == 8


def test_a_search_prints_its_best_and_the_study_it_wrote_can_be_trained(home, call, tmp_path):
    code, out, said = call("tune", home / "tune.yaml", "--set", f"out={tmp_path}", "--best", tmp_path / "best.yaml")
    assert code == 0
    assert "itemknn" in out
    assert "trial 1 (2/2)" in said
    code, _, _ = call("train", tmp_path / "best.yaml", tmp_path / "model", "--model", "itemknn")
    assert code == 0


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere.yaml", "x"], "nowhere.yaml: no such file"),
        (["train", "HOME/study.yaml", "HOME/x"], "say which of train.models: itemknn, popularity, bpr"),
        (["train", "HOME/study.yaml", "HOME/x", "--model", "ease"], "'ease' is not among"),
        (["train", "HOME/study.yaml", "HOME/bpr", "--model", "bpr"], "exists already"),
        (
            ["train", "HOME/study.yaml", "HOME/x", "--model", "bpr", "--set", "data.min_ratin=4"],
            "did you mean 'min_rating'",
        ),
        (["tune", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["tune", "HOME/tune.yaml", "--set", "tune.trails=3"], "did you mean 'trials'"),
        (["tune", "HOME/study.yaml"], "nothing to search in 'popularity'"),
        (["evaluate", "HOME/nowhere.csv", "--data", "HOME/study.yaml"], "nowhere.csv: no such file"),
        (["evaluate", "HOME/wrong_id.csv", "--data", "HOME/study.yaml"], "row 2: item_id 'g9999'"),
        (["evaluate", "HOME/wrong_column.csv", "--data", "HOME/study.yaml"], "column item_id missing"),
        (["evaluate", "HOME/right.csv"], "no data is named"),
        (["evaluate", "HOME/right.csv", "--data", "HOME/study.yaml", "--metric", "ndgc@10"], "did you mean 'ndcg@10'"),
        (["evaluate", "HOME/right.csv", "--data", "HOME/study.yaml", "--group", "heads"], "did you mean 'head'"),
        (["evaluate", "HOME/bpr", "HOME/bpr"], "named twice"),
        (["evaluate", "HOME/bpr", "--set", "data.split=global_time"], "was trained on other rows"),
        (["evaluate", "HOME/torn"], "model.safetensors: damaged"),
        (["recommend", "HOME/torn", "--user", "u0001"], "model.safetensors: damaged"),
        (["similar", "HOME/torn", "--item", "g0001"], "model.safetensors: damaged"),
        (["vectors", "HOME/torn", "HOME/v"], "model.safetensors: damaged"),
        (["recommend", "HOME/nowhere", "--user", "u0001"], "no such folder"),
        (["recommend", "HOME/bpr", "--user", "u007"], "user_id 'u007' is not known to the model; near: u0007"),
        (["recommend", "HOME/bpr"], "name users"),
        (["recommend", "HOME/bpr", "--out", "HOME/x.txt"], "written as .parquet or .csv"),
        (["recommend", "HOME/bpr", "--user", "u0001", "-k", "0"], "at least one"),
        (["recommend", "HOME/bpr", "--user", "u0001", "--set", "data.seed=1"], "not those of"),
        (["similar", "HOME/bpr", "--item", "g003"], "item_id 'g003' is not known to the model; near: g0003"),
        (["similar", "HOME/popularity", "--item", "g0003"], "popularity: keeps neither"),
        (["vectors", "HOME/itemknn", "HOME/v"], "itemknn: has no vectors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_fault_is_one_message_that_names_it(home, call, words, said):
    lines = {
        "right.csv": "user_id,item_id,rank\nu0001,g0001,1\n",
        "wrong_id.csv": "user_id,item_id,rank\nu0001,g0001,1\nu0001,g9999,2\n",
        "wrong_column.csv": "user_id,item,rank\nu0001,g0001,1\n",
    }
    for name, text in lines.items():
        (home / name).write_text(text)
    (home / "torn").mkdir(exist_ok=True)
    for file in (home / "bpr").iterdir():
        (home / "torn" / file.name).write_bytes(file.read_bytes())
    whole = (home / "bpr" / "model.safetensors").read_bytes()
    (home / "torn" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    code, _, told = call(*(word.replace("HOME", str(home)) for word in words))
    assert code == 2
    assert said in told


def test_a_model_that_has_learnt_the_validation_side_is_not_judged_on_it(home, call):
    code, _, _ = call("train", home / "study.yaml", home / "refitted", "--model", "itemknn", "--refit")
    assert code == 0
    code, _, told = call("evaluate", home / "refitted", "--side", "valid")
    assert code == 2
    assert "has learnt from the validation side" in told
    assert call("evaluate", home / "refitted")[0] == 0
