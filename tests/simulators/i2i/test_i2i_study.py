"""The whole study on a small bazaar: what is trained, what is kept on disk, what the agents may see."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from recloop.agents.fusion import is_generated
from recloop.cli.app import app
from recloop.errors import ConfigError
from recloop.recsys.data.dataset import Split
from recloop.settings import checked
from recloop.simulators.i2i import ItemStudy, study_i2i
from recloop.simulators.i2i.config import read_item_study
from recloop.simulators.i2i.report import write_result
from typer.testing import CliRunner

MODELS = {"swing": {"i2i": {"model": "swing", "last": 5}}, "bm25": {"itemknn": {"weighting": "bm25"}}}


def settings(out, **changes):
    study = {
        "name": "small",
        "data": {"source": "bazaar", "n_users": 60, "n_items": 130},
        "steps": [{"generate": {}}, {"discriminate": {"calibration_users": 60, "real": 3}}],
        "memory": {"store": "process"},
        "train": {"seeds": [0, 1]},
        "evaluate": {"draws": 200, "metrics": ["recall@10"], "groups": ["head", "warm"]},
        "out": str(out),
    }
    return {"study": study, "models": MODELS, "shares": [0, 0.5, 1], "seeds_of_curves": 2, **changes}


def made(out, **changes):
    return checked(ItemStudy, settings(out, **changes), "a test")


@pytest.fixture(scope="module")
def worth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("i2i")
    return study_i2i(made(folder)), folder


def test_every_variant_differs_from_raw_by_as_many_rows_as_it_should(worth):
    found, _ = worth
    size = len(found.variants[found.sized].train(0)) - len(found.split.train)
    assert size > 0
    for name in ("random", "popularity", "cf_neighbours", "generated_thinned"):
        if name in found.variants:
            assert len(found.variants[name].train(0)) - len(found.split.train) == size, name
    assert len(found.variants["generated"].train(0)) - len(found.split.train) == len(found.refined.rows)
    assert found.variants["random"].train(0).fingerprint != found.variants["random"].train(1).fingerprint


def test_the_filters_act_on_generated_and_on_real_rows(worth):
    found, _ = worth
    kept, both = found.refined.discriminated, found.refined.both
    assert (kept.weight == 1).all()
    assert is_generated(kept).sum() == found.refined.rows["kept"].sum()
    flagged = both.weight < 1
    assert not is_generated(both)[flagged].any()
    assert flagged.sum() == found.facts["real rows held for noise"]


def test_another_future_changes_nothing_that_was_added(worth, tmp_path, monkeypatch):
    found, _ = worth
    other = Split(found.split.train, found.split.test, found.split.valid)
    monkeypatch.setattr("recloop.simulators.i2i.study.load_split", lambda _: other)
    again = study_i2i(made(tmp_path, models={"bm25": MODELS["bm25"]}, shares=[0]))
    for name, variant in found.variants.items():
        assert again.variants[name].train(1).fingerprint == variant.train(1).fingerprint, name
    assert again.table["mean"].tolist() != found.table[found.table["model"] == "bm25"]["mean"].tolist()


def test_the_curves_start_at_raw_and_end_at_all_that_was_generated(worth):
    curve = worth[0].curve
    assert set(curve["order"]) == {"volume", "confidence"}
    start = curve[curve["share"] == 0]
    assert (start[["difference", "low", "high"]] == 0).all(axis=None)
    ends = curve[curve["share"] == 1].pivot(index=["model", "group"], columns="order", values="mean")
    np.testing.assert_allclose(ends["volume"], ends["confidence"])
    table = worth[0].table
    alone = table[(table["variant"] == "generated") & (table["against"] == "raw")].set_index(["model", "group"])["mean"]
    np.testing.assert_allclose(ends["volume"].sort_index(), alone.sort_index())
    assert curve["rows"].max() == len(worth[0].refined.rows)


def test_a_second_call_trains_and_asks_nothing(worth, monkeypatch):
    found, folder = worth
    files = {p: p.stat().st_mtime_ns for p in folder.glob("small/values/*")}
    monkeypatch.setattr("recloop.simulators.studies.grid.model", forbidden(made(folder)))
    again = study_i2i(made(folder))
    assert files == {p: p.stat().st_mtime_ns for p in folder.glob("small/values/*")}
    pd.testing.assert_frame_equal(again.table, found.table)
    pd.testing.assert_frame_equal(again.curve, found.curve)
    assert all(summary.paid == 0 for summary in again.refined.summaries.values())


def forbidden(config):
    """The models as they are, that must not be fitted."""
    from recloop.recsys.models import model

    def build(name, **hyperparameters):
        fresh = model(name, **hyperparameters)
        fresh.fit = None
        return fresh

    return build


def test_the_report_holds_the_tables_and_both_pictures(worth, tmp_path):
    found, _ = worth
    report = write_result(found, tmp_path, "small bazaar", "recall@10").read_text()
    for part in ("## RealPair", "## Stop rule", "vs random", "| swing | generated |", "### volume, swing"):
        assert part in report
    for picture in ("volume.png", "confidence.png"):
        assert (tmp_path / picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(pd.read_parquet(tmp_path / "generated.parquet")) == len(found.refined.rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": [0.5, 0.1]}, "shares ascend"),
        ({"models": {"swing": {"i2i": {"model": "swinf"}}}}, "did you mean 'swing'"),
        ({"models": {"both": {"bpr": {}, "ease": {}}}}, "one model"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        made(tmp_path, **changes)


def test_other_steps_are_refused(tmp_path):
    wrong = settings(tmp_path)
    wrong["study"]["steps"] = [{"generate": {}}]
    with pytest.raises(ConfigError, match="generate, then discriminate"):
        checked(ItemStudy, wrong, "a test")


def test_the_verb_writes_the_report_into_the_folder_of_the_study(worth, monkeypatch):
    first, folder = worth
    path = folder / "item-study.yaml"
    path.write_text(yaml.safe_dump(settings(folder)), encoding="utf-8")
    monkeypatch.setattr("recloop.simulators.studies.grid.model", forbidden(made(folder)))
    ran = CliRunner().invoke(app, ["i2i", str(path), "--json"])
    assert ran.exit_code == 0, ran.output
    printed = json.loads(ran.stdout)
    assert printed["folder"] == str(folder / "small")
    assert len(printed["table"]) == len(first.table)
    assert "| swing | generated |" in (folder / "small" / "i2i.md").read_text(encoding="utf-8")
    assert "swing" in first._repr_html_()


def test_a_plain_study_takes_the_settings_that_run_takes(tmp_path):
    plain = settings(tmp_path)["study"]
    assert read_item_study(plain, ["train.seeds=[4]"]).study.train.seeds == (4,)
    nested = read_item_study({"study": plain}, ["study.train.seeds=[5]", "seeds_of_curves=1"])
    assert (nested.study.train.seeds, nested.seeds_of_curves) == ((5,), 1)
