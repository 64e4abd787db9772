"""`try`: what is shown of a few tasks, and what it leaves for the run."""

from __future__ import annotations

import asyncio
import json

import pytest
import recloop
import yaml
from recloop.cli.app import app
from recloop.errors import ConfigError
from typer.testing import CliRunner

STUDY = {
    "name": "t",
    "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
    "steps": [{"setwise": {"users": 6, "walk": 1, "rounds": 1}}],
    "memory": {"store": "process"},
    "train": {"models": ["popularity"], "seeds": [0]},
    "evaluate": {"controls": [], "draws": 100},
}


def test_every_request_is_there_with_its_reply_and_parse_result(tmp_path) -> None:
    trial = recloop.try_study({**STUDY, "out": str(tmp_path)}, tasks=2)
    [step] = trial["steps"]
    assert (step["step"], len(step["tasks"])) == ("0-setwise", 2)
    requests = [request for task in step["tasks"] for request in task["requests"]]
    assert all(request["messages"][-1]["content"] for request in requests)
    assert all(json.loads(request["reply"]) for request in requests)
    assert {request["parse"]["result"] for request in requests} == {"ok"}
    assert trial["paid"]["calls"] + trial["cached"] == sum(request["calls"] for request in requests)
    assert not (tmp_path / "t" / "values").exists()
    assert "0-setwise" in trial._repr_html_()


def test_a_run_after_it_pays_only_for_the_other_tasks(tmp_path) -> None:
    study = {**STUDY, "out": str(tmp_path)}
    trial = recloop.try_study(study, tasks=6)
    [summary] = recloop.run(study).summaries.values()
    assert trial["paid"]["calls"] > 0
    assert (summary.tasks, summary.resumed, summary.paid) == (6, 0, 0)


def test_a_spent_budget_stops_it_and_what_was_answered_is_shown(tmp_path) -> None:
    llm = {"provider": "offline", "concurrency": 1, "budget": {"calls": 2}}
    trial = recloop.try_study({**STUDY, "llm": llm, "out": str(tmp_path)}, tasks=1)
    [task] = trial["steps"][0]["tasks"]
    assert "budget is spent" in trial["stopped"]
    assert trial["paid"]["calls"] == 2
    assert [request["parse"]["result"] for request in task["requests"]] == ["ok", "ok", "failed"]


def test_a_later_step_reads_what_the_sampled_records_have_made(tmp_path) -> None:
    study = {**STUDY, "steps": ["generate", "discriminate"], "out": str(tmp_path)}
    [step] = recloop.try_study(study, tasks=2, step=1)["steps"]
    assert step["step"] == "1-discriminate"
    assert [task["status"] for task in step["tasks"]] == ["ok", "ok"]


def test_one_user_and_wrong_arguments(tmp_path) -> None:
    study = {**STUDY, "out": str(tmp_path)}
    key = recloop.try_study(study, tasks=1)["steps"][0]["tasks"][0]["task"]
    [step] = recloop.try_study(study, user=key.partition(":")[2])["steps"]
    assert [task["task"] for task in step["tasks"]] == [key]
    with pytest.raises(ConfigError, match="no task of user 'nobody'"):
        recloop.try_study(study, user="nobody")
    with pytest.raises(ConfigError, match="has no step 1; there are: 0 setwise"):
        recloop.try_study(study, step=1)


def test_it_works_inside_a_running_event_loop_and_the_verb_prints_both_forms(tmp_path) -> None:
    async def notebook() -> dict:
        return recloop.try_study({**STUDY, "out": str(tmp_path)}, tasks=1)

    first = asyncio.run(notebook())
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "out": str(tmp_path)}), encoding="utf-8")
    text = CliRunner().invoke(app, ["try", str(path), "--tasks", "1"])
    assert text.exit_code == 0, text.output
    assert "--- parse: ok" in text.stdout
    again = json.loads(CliRunner().invoke(app, ["try", str(path), "--tasks", "1", "--json"]).stdout)
    assert again["paid"]["calls"] == 0
    assert again["steps"][0]["tasks"][0]["task"] == first["steps"][0]["tasks"][0]["task"]
