"""`compare`: two runs are held against each other, user by user, where they have all else in common."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recloop
from recloop.errors import ConfigError, RunError
from recloop.recsys.evaluation import read_values
from recloop.simulators.inspection.comparison import compare


def study(name: str, out: Path, **sections: Any) -> dict[str, Any]:
    return {
        "name": name,
        "out": str(out),
        "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
        "memory": {"store": "process"},
        "steps": [{"denoise": {"threshold": 0.6}}],
        "train": {"models": ["itemknn", "ease"], "seeds": [0]},
        "evaluate": {"metrics": ["ndcg@10", "recall@10"], "groups": [], "controls": [], "draws": 200},
        **sections,
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    recloop.run(study("strict", out))
    recloop.run(study("lax", out, steps=[{"denoise": {"threshold": 0.9}}]))
    recloop.run(study("other-data", out, data={"source": "bazaar", "n_users": 61, "n_items": 120}))
    recloop.run(study("other-model", out, train={"models": ["itemknn", {"ease": {"l2": 7.0}}], "seeds": [0]}))
    recloop.run(study("fewer-models", out, train={"models": ["itemknn"], "seeds": [0]}))
    return out


def test_the_difference_is_the_mean_of_each_users_difference(runs: Path) -> None:
    result = compare("strict", "lax", out=runs)
    row = result.table[(result.table["model"] == "ease") & (result.table["metric"] == "ndcg@10")].iloc[-1]
    means = []
    for name in ("strict", "lax"):
        cells = json.loads((runs / name / "cells.json").read_text())["cells"]
        [file] = [cell["file"] for cell in cells if (cell["model"], cell["variant"]) == ("ease", "refined")]
        values = read_values(runs / name / "values" / file)
        means.append(values[values["metric"] == "ndcg@10"].set_index("user")["value"])
    assert row["difference"] == pytest.approx((means[1] - means[0]).mean())
    assert row["difference"] != 0
    assert (row["against"], row["variant"]) == ("strict", "lax")


def test_raw_data_of_two_runs_are_equal_for_every_user(runs: Path) -> None:
    result = compare(runs / "strict", runs / "lax", variant="raw")
    assert all("equal for every user" in sentence for sentence in result.sentences)
    assert len(result.sentences) == 2


def test_p_values_are_corrected_over_the_models(runs: Path) -> None:
    table = compare("strict", "lax", out=runs).table
    part = table[(table["against"] != "") & (table["metric"] == "ndcg@10")]
    assert len(part) == 2
    assert part["p_holm"].max() == pytest.approx(max(part["p"].max(), min(1, 2 * part["p"].min())))


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ("other-data", "the train, validation or test side"),
        ("other-model", "the hyperparameters of ease"),
        ("fewer-models", r"model ease \(only in strict\)"),
        ("strict", "named twice"),
        ("nowhere", "no run 'nowhere'"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_with_what_differs(runs: Path, other: str, names: str) -> None:
    with pytest.raises(RunError, match=names):
        compare("strict", other, out=runs)


def test_a_variant_or_metric_that_no_run_has_is_refused_with_those_there_are(runs: Path) -> None:
    with pytest.raises(RunError, match="it has raw, refined"):
        compare("strict", "lax", out=runs, variant="polished")
    with pytest.raises(ConfigError, match="ndcg@10, recall@10"):
        compare("strict", "lax", out=runs, metric="ndcg@3")


def test_a_folder_of_values_with_earlier_settings_compares_the_present_ones(runs: Path, tmp_path: Path) -> None:
    recloop.run(study("twice", tmp_path, steps=[{"denoise": {"threshold": 0.3}}]))
    recloop.run(study("twice", tmp_path))
    result = compare(runs / "strict", tmp_path / "twice")
    assert all("equal for every user" in sentence for sentence in result.sentences)


async def test_it_works_inside_a_running_loop_and_shows_itself(runs: Path) -> None:
    await asyncio.sleep(0)
    result = recloop.compare("strict", "lax", out=runs)
    assert "ndcg@10" in result._repr_html_()
    plain = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert plain["conclusions"] == result.sentences
    assert isinstance(pd.DataFrame(plain["table"]), pd.DataFrame)
    assert np.isfinite([row["difference"] for row in plain["table"] if row["against"]]).all()
