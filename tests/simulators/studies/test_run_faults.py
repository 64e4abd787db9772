"""What a run does when servers, files or users fail it, and what it says of that."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from recloop.errors import ConfigError, RunError
from recloop.prompts.library import HERE
from recloop.simulators.batch.lock import locked
from recloop.simulators.batch.records import commonest_error, finished_keys, read_records
from recloop.simulators.batch.summary import Summary
from recloop.simulators.inspection.runs import runs_list, runs_show
from recloop.simulators.inspection.trace import runs_trace
from recloop.simulators.studies.estimate import estimate
from recloop.simulators.studies.run import run
from recloop.simulators.studies.study import BatchConfig, Study

from tests.simulators import served
from tests.simulators.study_files import recloop, study_file

SMALL = {
    "name": "r",
    "data": {"source": "bazaar", "n_users": 60, "n_items": 120},
    "steps": [{"setwise": {"users": 4, "walk": 1, "rounds": 0}}],
    "memory": {"store": "process"},
    "train": {"models": ["popularity"], "seeds": [0]},
    "evaluate": {"controls": [], "draws": 100},
}


def study(out: Path, **changes) -> Study:
    return Study.model_validate({**SMALL, "out": str(out), **changes})


def down(out: Path, **changes) -> Study:
    llm = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "attempts": 1, "patience": 0.1}
    return study(out, llm=llm, **changes)


def test_a_step_of_which_every_task_failed_ends_the_run_before_training_and_says_why(tmp_path):
    verdict = run(down(tmp_path))
    [summary] = verdict.summaries.values()
    assert not verdict.complete
    assert not (tmp_path / "r" / "values").exists()
    assert "no usable reply" in verdict.stopped
    assert "4 failed and 0 invalid of 4 tasks; the commonest reason (4 times): ModelUnavailable" in verdict.stopped
    [step] = runs_show("r", tmp_path)["steps"].values()
    assert step["unusable"] == summary.unusable


def test_the_commonest_error_is_on_stderr(tmp_path):
    llm = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "attempts": 1, "patience": 0.1}
    path = study_file(tmp_path, **{**SMALL, "llm": llm})
    process = recloop("run", path, "--set", f"out={tmp_path}")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the commonest reason (4 times): ModelUnavailable" in errors


def test_invalid_tasks_are_asked_again_on_request_and_for_other_max_tokens(tmp_path):
    first = run(study(tmp_path))
    [folder] = (tmp_path / "r" / "agents").iterdir()
    keys = read_records(folder)["key"].tolist()
    assert first.complete
    import pyarrow.parquet as pq

    [part] = (folder / "parts").glob("part-*.parquet")
    table = pq.read_table(part)
    status = ["invalid", "failed", *["ok"] * (table.num_rows - 2)]
    table = table.set_column(table.schema.get_field_index("status"), "status", [status])
    pq.write_table(table, part, write_page_checksum=True)
    assert finished_keys(folder) == set(keys)
    assert finished_keys(folder, retry_invalid=True) == set(keys) - {keys[0]}
    assert finished_keys(folder, retry_failed=True) == set(keys) - {keys[1]}
    again = run(study(tmp_path), retry_invalid=True)
    [summary] = again.summaries.values()
    assert (summary.resumed, summary.invalid, summary.failed) == (len(keys) - 1, 0, 1)
    longer = run(study(tmp_path, llm={"max_tokens": 99}))
    assert [summary.resumed for summary in longer.summaries.values()] == [0]


def test_errors_that_differ_in_numbers_are_one(tmp_path):
    from recloop.agents.agent import Record
    from recloop.simulators.batch.parts import PartWriter

    writer = PartWriter(tmp_path, 0)
    for place, (status, error) in enumerate([("failed", "after 3 s"), ("invalid", "odd"), ("failed", "after 12 s")]):
        writer.add(Record(key=f"t{place}", agent="a", status=status, payload="", error=error), place)
    writer.flush()
    assert commonest_error(tmp_path) == ("after 3 s", 2)
    writer.add(Record(key="t0", agent="a", status="ok", payload="{}"), 0)
    writer.flush()
    assert commonest_error(tmp_path)[1] == 1, "a task that was done again has its last record's error only"


def test_a_second_run_in_one_folder_is_refused_without_steps_too(tmp_path):
    (tmp_path / "r").mkdir()
    with locked(tmp_path / "r" / "study.lock"), pytest.raises(RunError, match="is being written by process"):
        run(study(tmp_path, steps=[]))


def test_a_limit_asks_the_first_tasks_and_the_whole_run_resumes_them(tmp_path):
    part = run(study(tmp_path), limit=3)
    whole = run(study(tmp_path))
    assert [s.tasks for s in part.summaries.values()] == [3]
    assert [(s.tasks, s.resumed) for s in whole.summaries.values()] == [(4, 3)]


def test_a_name_too_long_and_a_folder_that_cannot_be_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="at most 100"):
        study(tmp_path, name="n" * 300)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        run(study(tmp_path / "file", steps=[]))


@pytest.mark.parametrize("name", ["manifest.json", "summary.json"])
def test_one_damaged_file_hides_no_other_run(tmp_path, name):
    for each in ("a", "b"):
        run(study(tmp_path, name=each))
    [step] = (tmp_path / "a" / "agents").iterdir()
    (step / name).write_text("{")
    a, b = runs_list(tmp_path)
    assert (a["name"], b["name"]) == ("a", "b")
    assert b["error"] == ""
    if name == "manifest.json":
        assert name in a["error"]
    else:
        assert [counts["tasks"] for counts in a["steps"].values()] == [4]


def test_a_summary_of_an_earlier_version_is_read(tmp_path):
    run(study(tmp_path))
    [path] = (tmp_path / "r" / "agents").glob("*/summary.json")
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in stored.items() if key not in ("error", "errors")}))
    assert Summary.read(path).tasks == 4


def test_a_trace_is_of_the_present_settings_and_others_are_named(tmp_path):
    run(study(tmp_path, steps=[{"setwise": {"users": 4, "walk": 1, "rounds": 1}}]))
    run(study(tmp_path))
    user = read_records(next(iter((tmp_path / "r" / "agents").iterdir())))["key"][0].partition(":")[2]
    for rounds in (1, 0):
        run(study(tmp_path, steps=[{"setwise": {"users": 4, "walk": 1, "rounds": rounds}}]))
        trace = runs_trace("r", user, tmp_path)
        manifest = json.loads((tmp_path / "r" / "agents" / trace["step"] / "manifest.json").read_text())
        assert manifest["identity"]["config"]["rounds"] == rounds
        [other] = trace["others"]
        assert trace["text"].startswith(f"Step {trace['step']} of run r. Others by --step: {other}.")
        assert runs_trace("r", user, tmp_path, step=other)["step"] == other
    with pytest.raises(RunError, match="no set-wise step 'nothing'; there are: 0-setwise-"):
        runs_trace("r", user, tmp_path, step="nothing")


def test_an_estimate_without_a_usable_reply_is_refused_and_one_without_a_price_is_not(tmp_path):
    with pytest.raises(RunError, match=r"none of 4 sampled tasks of step 0-setwise has a usable reply; the first: "):
        estimate(down(tmp_path))
    priceless = estimate(down(tmp_path), dry=True)
    assert priceless["total"]["usd"] is None
    assert priceless["total"]["calls"]["mean"] > 0


def test_the_old_name_of_max_workers_is_taken_with_a_warning():
    with pytest.warns(FutureWarning, match="max_workers"):
        batch = BatchConfig.model_validate({"backend": "processes", "shards": 4, "at_once": 2})
    assert batch.workers == 2


def test_sigterm_says_that_the_same_command_resumes(tmp_path):
    with served.serving(latency=0.5) as server:
        llm = {"provider": "openai", "model": "loopback", "base_url": server.url, "concurrency": 1}
        path = study_file(tmp_path, **{**SMALL, "llm": llm, "steps": [{"setwise": {"users": 60, "walk": 2}}]})
        process = recloop("run", path, "--set", f"out={tmp_path}")
        timer = threading.Timer(60, process.kill)
        timer.start()
        while server.counts["requests"] == 0 and process.poll() is None:
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        timer.cancel()
    assert process.returncode == 143
    assert "the same command resumes" in errors


def test_a_run_that_stops_at_its_first_call_does_not_blame_the_data(tmp_path):
    shipped = (HERE / "setwise" / "assess.md").read_text(encoding="utf-8")
    (tmp_path / "wordings" / "setwise").mkdir(parents=True)
    (tmp_path / "wordings" / "setwise" / "assess.md").write_text(shipped + "{{ no_such_name }}\n", encoding="utf-8")
    path = study_file(tmp_path, **{**SMALL, "prompts": str(tmp_path / "wordings"), "out": str(tmp_path)})
    _, errors = (process := recloop("run", path)).communicate(timeout=120)
    assert process.returncode == 1
    assert "no_such_name" in errors
    assert "0 tasks" not in errors


def test_a_study_without_steps_does_not_speak_of_agents(tmp_path):
    run(study(tmp_path, steps=[]))
    report = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    assert "offline" not in report.split("## How to read this")[0]


def test_a_step_without_tasks_has_no_undefined_rates_in_the_report(tmp_path):
    rows = [f"u{user},i{user + place},{place}\n" for user in range(8) for place in range(6)]
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\n" + "".join(rows), encoding="utf-8")
    split = {"leave_last_out": {"valid": 0, "test": 5}}
    run(study(tmp_path, data={"source": "table", "path": str(tmp_path / "log.csv"), "time": "order", "split": split}))
    report = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    assert "0 tasks, 0 calls (no task)" in report
    assert "nan%" not in report
