"""A study's replies: kept, explained, exported, replayed without the server; estimated; split over workers."""

import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from recloop.agents.chat.meter import Budget
from recloop.errors import ConfigError, DataError
from recloop.simulators.batch import shards
from recloop.simulators.batch.records import read_records
from recloop.simulators.batch.usage import usage
from recloop.simulators.inspection.cache import cache_explain, cache_export, cache_import, cache_prune, cache_stats
from recloop.simulators.studies import agent_runner
from recloop.simulators.studies.estimate import estimate
from recloop.simulators.studies.run import run


@pytest.fixture
def served():
    """The module of the server and its studies."""
    from tests.simulators import served

    return served


def records(study) -> pd.DataFrame:
    [folder] = (study.folder / "agents").glob("*")
    return read_records(folder).drop(columns="seconds")


def test_a_replay_file_runs_the_whole_study_again_without_the_server(served, tmp_path):
    with served.serving() as server:
        asked = served.study(server.url, tmp_path / "asked")
        first = run(asked)
    told = cache_export(tmp_path / "asked", tmp_path / "replay.jsonl")
    assert told["entries"] == first.summaries[next(iter(first.summaries))].calls > 0
    replayed = asked.model_copy(
        update={
            "llm": type(asked.llm)(provider="replay", replay=tmp_path / "replay.jsonl"),
            "out": tmp_path / "replayed",
        }
    )
    again = run(replayed)
    assert again.complete
    pd.testing.assert_frame_equal(records(asked), records(replayed))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert usage(replayed.folder) == {}


def test_the_cache_says_what_it_holds_and_what_a_task_would_ask_anew(served, tmp_path):
    with served.serving() as server:
        asked = served.study(server.url, tmp_path, users=2)
        run(asked)
    stats = cache_stats(tmp_path)
    assert stats["models"] == {"loopback": stats["entries"]}
    task = records(asked)["key"][0]
    there = cache_explain(asked, task)
    assert there["missing"] == ""
    assert there["found"] == records(asked)["calls"][0]
    warmer = asked.model_copy(update={"llm": asked.llm.model_copy(update={"temperature": 0.5})})
    missing = cache_explain(warmer, task)
    assert missing["found"] == 0
    assert missing["missing"].startswith("setwise/profile@")
    assert missing["differs"] == ["sampling.temperature: 0.5 asked, 0.0 kept"]
    with pytest.raises(ConfigError, match="no task 'user:nobody'"):
        cache_explain(asked, "user:nobody")
    cache_export(tmp_path, tmp_path / "replay.jsonl")
    assert cache_import(tmp_path / "other", tmp_path / "replay.jsonl")["new"] == stats["entries"]
    assert cache_import(tmp_path / "other", tmp_path / "replay.jsonl")["new"] == 0
    assert cache_prune(tmp_path, older_than_days=1, yes=True)["deleted"] == 0
    assert cache_prune(tmp_path, model="loopback", yes=True)["deleted"] == stats["entries"]
    with pytest.raises(ConfigError, match="older_than_days or model"):
        cache_prune(tmp_path)
    with pytest.raises(DataError, match="no cache of replies"):
        cache_stats(tmp_path / "nowhere")


def test_an_estimate_holds_what_the_run_then_comes_to_and_its_replies_are_found(served, tmp_path):
    (tmp_path / "prices.yaml").write_text("loopback: {prompt: 1, completion: 2}\n")
    with served.serving(latency=0.01) as server:
        asked = served.study(server.url, tmp_path, users=40, llm={"prices": tmp_path / "prices.yaml"})
        told = estimate(asked, tasks=8)
        paid = server.counts["requests"]
        verdict = run(asked)
        requests = server.counts["requests"]
    [summary] = verdict.summaries.values()
    for name, true in {"calls": summary.calls, "usd": summary.cost, "prompt_tokens": summary.prompt_tokens}.items():
        assert told["total"][name]["low"] * 0.8 <= true <= told["total"][name]["high"] * 1.2
    assert told["total"]["seconds"]["mean"] > 0
    assert paid == summary.calls - (requests - paid) - (summary.cached - paid)
    assert summary.calls == requests
    assert sum(spent.calls for spent in usage(asked.folder).values()) == requests
    left = estimate(asked, tasks=2)
    assert left["total"]["calls"]["mean"] == 0


def test_an_estimate_asks_for_the_price_where_dollars_are_limited_and_dry_asks_nobody(served, tmp_path):
    with served.serving() as server:
        asked = served.study(server.url, tmp_path)
        with pytest.raises(ConfigError, match=r"no price of model 'loopback'.*llm\.prices"):
            estimate(asked.model_copy(update={"llm": asked.llm.model_copy(update={"budget": Budget(usd=1)})}))
        prices = tmp_path / "prices.yaml"
        prices.write_text("loop*: {prompt: 0.5, completion: 1}\n")
        told = estimate(asked.model_copy(update={"llm": asked.llm.model_copy(update={"prices": prices})}), dry=True)
        assert server.counts["requests"] == 0
    assert told["total"]["calls"]["mean"] > 0
    assert told["total"]["usd"]["mean"] > 0
    assert told["total"]["seconds"] is None
    assert json.loads(json.dumps(told)) == told


@pytest.fixture
def workers_on_threads(monkeypatch):
    """Workers of `processes` one after another on a thread of this process: a spawned one takes seconds to import."""

    def run_sharded(*given, backend, **options):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(shards.run_sharded, *given, backend="serial", **options).result()

    monkeypatch.setattr(agent_runner, "run_sharded", run_sharded)


def test_workers_share_cache_and_budget_and_have_the_records_of_a_serial_run(served, tmp_path, workers_on_threads):
    shared_out(served, tmp_path)


@pytest.mark.slow
def test_spawned_workers_do_so_too(served, tmp_path):
    shared_out(served, tmp_path)


def shared_out(served, tmp_path):
    with served.serving() as server:
        serial = served.study(server.url, tmp_path / "serial")
        run(serial)
        calls = server.counts["requests"]
        sharded = served.study(
            server.url,
            tmp_path / "sharded",
            run={"backend": "processes", "shards": 2, "cache": "shard"},
            llm={"budget": {"calls": calls - 3}},
        )
        stopped = run(sharded)
        assert "budget.calls" in stopped.stopped
        assert calls // 2 < server.counts["requests"] - calls <= calls - 3, "the budget is used, and not passed"
        resumed = sharded.model_copy(
            update={
                "llm": sharded.llm.model_copy(update={"budget": type(sharded.llm.budget)(calls=calls)}),
                "run": type(sharded.run)(),
            }
        )
        verdict = run(resumed)
        assert verdict.complete, verdict.stopped
        assert server.counts["requests"] == 2 * calls, "nothing was asked twice"
    pd.testing.assert_frame_equal(records(serial), records(resumed))
    assert sum(spent.calls for spent in usage(resumed.folder).values()) == calls


@pytest.mark.slow
def test_ray_has_the_records_of_a_serial_run(served, tmp_path):
    with served.serving() as server:
        serial = served.study(server.url, tmp_path / "serial")
        run(serial)
        on_ray = served.study(server.url, tmp_path / "ray", run={"backend": "ray", "shards": 2})
        run(on_ray)
    pd.testing.assert_frame_equal(records(serial), records(on_ray))


def test_ray_wants_a_memory_that_every_machine_reaches(served, tmp_path):
    with pytest.raises(ValueError, match=r"memory\.url"):
        served.study("http://127.0.0.1:1/v1", tmp_path, run={"backend": "ray"}, memory={"store": "chroma"})
