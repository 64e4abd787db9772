"""`ablate`: rows of settings, evaluated on the same held-out lists."""

import json

import numpy as np
import pytest
import recloop
import yaml
from recloop.cli.app import app
from recloop.errors import ConfigError, RunError
from recloop.recsys.evaluation import Interval
from recloop.simulators.studies.ablation import as_markdown
from typer.testing import CliRunner

STUDY = {
    "name": "a",
    "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
    "steps": [{"setwise": {"users": 6, "walk": 1, "rounds": 1}}],
    "memory": {"store": "process"},
}
ROWS = {"as it is": {}, "again": {}, "point-wise": {"set_size": 1, "stride": 1, "dealings": 1}}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return recloop.ablate({**STUDY, "out": str(tmp_path_factory.mktemp("ablation"))}, rows=ROWS)


def test_two_rows_come_before_those_of_the_agent_and_random_order_is_exact(table) -> None:
    assert table["row"].tolist() == ["random order (exact)", "train popularity, no agent", *ROWS]
    assert table["ndcg@10"].iloc[0] == pytest.approx(np.mean(1 / np.log2(np.arange(2, 12))))


def test_a_row_is_compared_with_the_first_and_equal_settings_differ_by_nothing(table) -> None:
    rows = table.set_index("row")
    assert not isinstance(rows.loc["as it is", "above_shipped"], Interval)
    again = rows.loc["again", "above_shipped"]
    assert (again.mean, again.low, again.high, again.n) == (0, 0, 0, 6)
    assert rows.loc["point-wise", "calls"] > rows.loc["as it is", "calls"]
    assert as_markdown(table).count("\n") == 2 + len(table)


def test_the_verb_takes_settings_and_prints_json(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("recloop.simulators.studies.ablation.ROWS", {"as it is": {}})
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "out": str(tmp_path)}), encoding="utf-8")
    ran = CliRunner().invoke(app, ["ablate", str(path), "--set", "steps.0.setwise.users=3", "--json"])
    assert ran.exit_code == 0, ran.output
    [_, _, row] = json.loads(ran.stdout)
    assert (row["row"], row["n"], row["above_first"]["n"]) == ("as it is", 3, 3)


def test_a_study_without_a_set_wise_step_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="has no set-wise step"):
        recloop.ablate({**STUDY, "steps": ["generate"], "out": str(tmp_path)})


def test_a_row_without_a_usable_loop_is_an_error_that_names_it(tmp_path) -> None:
    down = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "attempts": 1, "patience": 0.1}
    with pytest.raises(RunError, match=r"row 'as it is': no user to evaluate: .*cannot be reached"):
        recloop.ablate({**STUDY, "llm": down, "out": str(tmp_path)}, rows={"as it is": {}})
