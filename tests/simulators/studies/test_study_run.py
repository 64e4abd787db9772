"""The whole loop: a study in, records, refined data and a table out; again, killed, and over a real server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pandas as pd
import pytest
import recloop as package
from recloop.errors import ConfigError
from recloop.simulators.batch.records import read_records

from tests.simulators.study_files import recloop, study_file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the small study, run once without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    verdict = package.run(study_file(folder), [f"out={folder}"])
    assert verdict.complete
    return folder / "small"


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a real server that answers in OpenAI's shape; stopped at the end."""
    words = [sys.executable, "-m", "recloop.agents.chat.loopback", "--port", "0", "--latency", "0.002"]
    with Popen(words, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def step_of(folder: Path) -> Path:
    (step,) = (folder / "agents").iterdir()
    return step


def test_a_study_ends_with_a_table_of_every_variant_against_raw_and_its_controls(whole):
    table = pd.read_csv(whole / "table.csv", keep_default_na=False)
    assert set(table["variant"]) == {"raw", "refined", "random_edit", "popularity_edit", "facts_only"}
    assert set(table["against"]) == {"", "raw", "random_edit", "popularity_edit", "facts_only"}
    assert set(table["group"]) == {"all", "head", "tail", "cold", "warm"}
    report = (whole / "report.md").read_text()
    assert "NOT a language" in report
    assert "random_edit" in report


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(whole):
    before = {name: (whole / name).read_bytes() for name in ("table.csv", "report.md")}
    usage = json.loads((whole / "usage.json").read_text())
    verdict = package.run(study_file(whole.parent), [f"out={whole.parent}"])
    assert [summary.paid for summary in verdict.summaries.values()] == [0]
    assert json.loads((whole / "usage.json").read_text())["agents"] == usage["agents"]
    assert before == {name: (whole / name).read_bytes() for name in before}


def test_runs_show_holds_what_was_paid_by_agent_and_the_rates(whole):
    shown = package.runs_show("small", whole.parent)
    (step,) = shown["steps"].values()
    assert shown["usage"]["setwise"]["calls"] == step["calls"]
    assert step["rates"]["parse_valid"] == 1.0
    assert step["rates"]["failed"] == 0.0


def test_another_fold_of_the_same_records_asks_nothing(whole):
    settings = [f"out={whole.parent}", "name=refolded", "steps.0.setwise.fold={pairs: false}"]
    verdict = package.run(study_file(whole.parent), settings)
    assert [summary.paid for summary in verdict.summaries.values()] == [0]
    assert "pairs" not in verdict.edits


def test_a_run_killed_in_the_middle_ends_with_the_same_records_and_the_same_table(whole, tmp_path):
    study = study_file(tmp_path)
    program = recloop("run", study, "--set", f"out={tmp_path}", "--set", "llm.concurrency=2")
    replies = tmp_path / "replies.sqlite-wal"
    while program.poll() is None and not (replies.exists() and replies.stat().st_size > 200_000):
        time.sleep(0.005)
    program.kill()
    program.communicate()
    assert len(read_records(step_of(tmp_path / "small"))) < 60, "the kill came too late to test anything"
    again = recloop("run", study, "--set", f"out={tmp_path}", "--set", "llm.concurrency=8")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    last = out.rstrip().splitlines()[-1]
    assert last.startswith("Run folder: ")
    assert all(str(tmp_path / "small" / name) in last for name in ("report.md", "report.html"))
    records, resumed = (read_records(step_of(folder)).drop(columns="seconds") for folder in (whole, tmp_path / "small"))
    pd.testing.assert_frame_equal(records, resumed)
    assert (whole / "table.csv").read_bytes() == (tmp_path / "small" / "table.csv").read_bytes()


def test_the_same_study_runs_against_an_openai_compatible_server(server, tmp_path):
    llm = {"provider": "openai", "model": "loopback", "base_url": server, "concurrency": 16}
    study = study_file(tmp_path, llm=llm, steps=[{"setwise": {"users": 12, "walk": 2}}])
    verdict = package.run(study, [f"out={tmp_path}"])
    (summary,) = verdict.summaries.values()
    assert verdict.complete
    assert summary.ok == 12
    assert summary.paid > 12 * 10
    assert summary.cost is None, "the price of an unknown model is unknown, not zero"
    assert not verdict.as_json()["offline_is_no_llm"]
    again = package.run(study, [f"out={tmp_path}"])
    assert [summary.paid for summary in again.summaries.values()] == [0]


def test_a_spent_budget_stops_the_run_before_training_and_a_larger_one_resumes_it(tmp_path):
    study = study_file(tmp_path)
    stopped = package.run(study, [f"out={tmp_path}", "llm.budget.calls=200"])
    assert "budget" in stopped.stopped
    assert not stopped.complete
    assert not (tmp_path / "small" / "table.csv").exists()
    usage = json.loads((tmp_path / "small" / "usage.json").read_text())
    assert usage["agents"]["setwise"]["calls"] <= 200
    assert package.run(study, [f"out={tmp_path}", "llm.budget.calls=100000"]).complete


def test_a_study_without_steps_trains_on_raw_data_alone(tmp_path):
    verdict = package.run(study_file(tmp_path, steps=[]), [f"out={tmp_path}"])
    assert verdict.complete
    assert set(verdict.table["variant"]) == {"raw"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.epoch=3", "did you mean 'epochs'"),
        ("train.models=[sasrek]", "did you mean 'sasrec'"),
        ("steps=[{setwise: {round: 1}}]", "did you mean 'rounds'"),
        ("evaluate.metrics=[recal@10]", "recall"),
        ("data.sourc=x", "did you mean 'source'"),
        ("llm.temprature=1", "did you mean 'temperature'"),
        ("train.models=[{sasrec: {max_lenght: 3}}]", "did you mean 'max_length'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(tmp_path, setting, said):
    with pytest.raises(ConfigError, match=said):
        package.run(study_file(tmp_path), [setting])
