import asyncio
import json
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from recloop.agents.agent import Task, Tools
from recloop.errors import ConfigError, RunError
from recloop.simulators.batch.manifest import read_manifest
from recloop.simulators.batch.parts import parts_of
from recloop.simulators.batch.records import finished_keys, read_records
from recloop.simulators.batch.runner import run_batch, run_tasks
from recloop.simulators.batch.summary import Summary

TIMELESS = ["key", "agent", "status", "payload", "error", "model", "prompts", "calls", "repairs", "fenced"]
TIMELESS += ["prompt_tokens", "completion_tokens", "cost"]


def run(toy, folder, *, n=60, chat=None, concurrency=8, **options) -> Summary:
    chat = chat or toy.ToyChat()
    given = {"seed": 3, **options}
    return run_batch(
        toy.ToyAgent(n), toy.world(), lambda _: Tools(chat, toy.NoMemory()), folder, concurrency=concurrency, **given
    )


def timeless(folder: Path) -> pd.DataFrame:
    return read_records(folder)[TIMELESS]


def test_a_record_holds_what_came_of_its_task(toy, tmp_path):
    run(toy, tmp_path, n=12)
    record = read_records(tmp_path).iloc[11]
    assert record["key"] == "user:11"
    assert record["status"] == "ok"
    assert json.loads(record["payload"]) == {"answers": [110, 111], "sum": 221}
    assert record["prompts"] == ("toy@1",)
    assert (record["calls"], record["prompt_tokens"], record["completion_tokens"]) == (2, 6, 6)
    assert record["cost"] == pytest.approx(0.002)


@pytest.mark.parametrize("concurrency", [2, 7, 64])
def test_a_concurrent_run_has_the_records_of_a_serial_one(toy, tmp_path, concurrency):
    trouble = {"invalid": {3}, "unavailable": {5, 50}, "seconds": 0.002}
    run(toy, tmp_path / "serial", chat=toy.ToyChat(**trouble), concurrency=1)
    chat = toy.ToyChat(**trouble)
    run(toy, tmp_path / "concurrent", chat=chat, concurrency=concurrency)
    assert chat.most_in_flight == min(concurrency, 60)
    pd.testing.assert_frame_equal(timeless(tmp_path / "serial"), timeless(tmp_path / "concurrent"))


def test_records_come_in_the_order_of_the_tasks(toy, tmp_path):
    run(toy, tmp_path, n=30, chat=toy.ToyChat(seconds=0.003), concurrency=10)
    assert read_records(tmp_path)["key"].tolist() == [f"user:{n}" for n in range(30)]


def test_a_second_run_asks_nothing(toy, tmp_path):
    first, chat = run(toy, tmp_path), toy.ToyChat()
    second = run(toy, tmp_path, chat=chat)
    assert chat.calls == 0
    assert (second.resumed, second.paid, second.calls) == (60, 0, first.calls)


def test_the_summary_counts_every_status(toy, tmp_path):
    summary = run(toy, tmp_path, chat=toy.ToyChat(invalid={3, 4}, unavailable={5}))
    assert (summary.tasks, summary.ok, summary.invalid, summary.failed) == (60, 57, 2, 1)
    assert summary.rates["invalid"] == pytest.approx(2 / 60)
    assert not summary.complete
    assert Summary.read(tmp_path / "summary.json") == summary
    assert read_manifest(tmp_path)["counts"]["invalid"] == 2


def test_an_unusable_reply_is_an_invalid_record_with_its_reason_and_calls(toy, tmp_path):
    run(toy, tmp_path, chat=toy.ToyChat(invalid={3}))
    record = read_records(tmp_path).iloc[3]
    assert (record["status"], record["payload"], record["error"]) == ("invalid", "", "schema: not JSON")
    assert record["calls"] == 1


def test_failed_tasks_are_kept_until_they_are_retried(toy, tmp_path):
    run(toy, tmp_path, chat=toy.ToyChat(unavailable={5, 9}))
    assert run(toy, tmp_path).failed == 2
    chat = toy.ToyChat()
    retried = run(toy, tmp_path, chat=chat, retry_failed=True)
    assert (chat.calls, retried.failed, retried.ok, retried.resumed) == (4, 0, 60, 58)
    run(toy, tmp_path / "clean")
    pd.testing.assert_frame_equal(timeless(tmp_path), timeless(tmp_path / "clean"))


def test_a_task_that_fails_again_keeps_one_record(toy, tmp_path):
    for _ in range(3):
        summary = run(toy, tmp_path, chat=toy.ToyChat(unavailable={5}), retry_failed=True)
    assert (summary.tasks, summary.failed) == (60, 1)


def test_a_spent_budget_stops_the_run_and_a_larger_one_resumes_it(toy, tmp_path):
    stopped = run(toy, tmp_path, chat=toy.ToyChat(budget=41))
    assert "budget is spent" in stopped.stopped
    assert 0 < stopped.tasks < 60
    assert read_manifest(tmp_path)["finished"] is None
    resumed = run(toy, tmp_path)
    assert (resumed.stopped, resumed.tasks, resumed.resumed) == ("", 60, stopped.tasks)
    run(toy, tmp_path / "clean")
    pd.testing.assert_frame_equal(timeless(tmp_path), timeless(tmp_path / "clean"))


def test_a_refused_key_stops_the_run_instead_of_failing_every_task(toy, tmp_path):
    chat = toy.ToyChat(refuses_all_from=20)
    summary = run(toy, tmp_path, chat=chat)
    assert "no such key" in summary.stopped
    assert (summary.ok, summary.failed) == (20, 0)
    assert chat.calls <= 2 * 20 + 8


def test_a_key_refused_as_a_setting_stops_the_run_and_raises_nothing(toy, tmp_path, monkeypatch):
    async def refuse(chat, request):
        raise ConfigError("the server refuses the API key (401)")

    monkeypatch.setattr(toy.ToyChat, "__call__", refuse)
    summary = run(toy, tmp_path)
    assert "refuses the API key" in summary.stopped
    assert (summary.ok, summary.failed) == (0, 0)


def test_a_bug_names_its_task_and_keeps_the_finished_records(toy, tmp_path):
    with pytest.raises(RuntimeError, match=r"task 'user:33' stopped the run: KeyError: 'a typo in the agent'"):
        run(toy, tmp_path, chat=toy.ToyChat(bugs={33}))
    kept = read_records(tmp_path)
    assert set(kept["key"]) >= {f"user:{n}" for n in range(25)}
    assert "user:33" not in set(kept["key"])
    assert run(toy, tmp_path).complete


def test_a_bug_in_the_list_of_tasks_is_told_as_one(toy, tmp_path):
    class Broken(toy.ToyAgent):
        def tasks(self, data):
            yield from list(super().tasks(data))[:5]
            raise IndexError("no sixth")

    with pytest.raises(RuntimeError, match="the tasks of agent 'toy' stopped the run: IndexError: no sixth"):
        run_batch(Broken(9), toy.world(), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3)
    assert len(read_records(tmp_path)) == 5


def test_a_payload_that_is_no_json_is_a_bug(toy, tmp_path):
    class Undefined(toy.ToyAgent):
        def graph(self):
            class Graph:
                async def ainvoke(self, state, context):
                    return {"payload": {"score": float("nan")}}

            return Graph()

    with pytest.raises(RuntimeError, match=r"user:0.*ValueError"):
        run_batch(Undefined(1), toy.world(), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3)


def test_two_tasks_of_one_key_are_refused(toy, tmp_path):
    class Twice(toy.ToyAgent):
        def tasks(self, data):
            yield Task("user:1", {"number": 1})
            yield Task("user:1", {"number": 2})

    with pytest.raises(RunError, match="two tasks have the key 'user:1'"):
        run_batch(Twice(2), toy.world(), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3)


def test_half_a_surrogate_pair_in_a_reply_can_be_stored(toy, tmp_path):
    class Odd(toy.ToyAgent):
        def graph(self):
            class Graph:
                async def ainvoke(self, state, context):
                    return {"payload": {"title": "caf\u00e9 \ud83d"}}

            return Graph()

    run_batch(Odd(1), toy.world(), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3)
    assert json.loads(read_records(tmp_path)["payload"].iloc[0])["title"] == "caf\u00e9 \ud83d"


def test_keys_of_the_environment_do_not_reach_a_record(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_API_KEY", "very-secret-value")

    async def leaky(request):
        raise toy.ModelUnavailable("refused Authorization: very-secret-value", status=500)

    run(toy, tmp_path, n=3, chat=leaky)
    assert "very-secret-value" not in read_records(tmp_path)["error"].iloc[0]
    assert all(b"very-secret-value" not in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 4}, "seed was 3, is now 4"), ({"config": {"set_size": 5}}, 'config.set_size was "not set", is now 5'),
     ({"prompts": ["toy@2"]}, "prompts was"), ({"llm": {"model": "other"}}, "llm.model was")],
)  # fmt: skip
def test_a_resume_as_another_run_is_refused_by_the_differing_field(toy, tmp_path, change, named):
    run(toy, tmp_path)
    with pytest.raises(RunError, match=named):
        run(toy, tmp_path, **change)


def test_a_resume_on_other_data_is_refused(toy, tmp_path):
    run(toy, tmp_path)
    with pytest.raises(RunError, match=r"fingerprint was .* Choose another folder"):
        run_batch(toy.ToyAgent(60), toy.world(21), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3)


def test_starting_anew_keeps_the_earlier_run_aside(toy, tmp_path):
    run(toy, tmp_path)
    again = run(toy, tmp_path, seed=4, anew=True)
    assert again.resumed == 0
    assert len(read_records(tmp_path / "before" / "1")) == 60
    assert run(toy, tmp_path, seed=4, anew=True).resumed == 60


def test_the_manifest_says_what_the_run_was_made_of_and_no_key(toy, tmp_path):
    llm = {"provider": "openai", "model": "m", "base_url": "http://me:hunter22@host/v1", "api_key": "sk-1234"}
    run(toy, tmp_path, llm=llm, config={"set_size": 4}, prompts=["b@2", "a@1"])
    manifest = read_manifest(tmp_path)
    assert manifest["identity"]["llm"]["model"] == "m"
    assert manifest["identity"]["prompts"] == ["a@1", "b@2"]
    assert manifest["identity"]["fingerprint"] == toy.world().fingerprint
    assert manifest["packages"]["langgraph"]
    assert manifest["finished"]
    written = (tmp_path / "manifest.json").read_text()
    assert "sk-1234" not in written
    assert "hunter22" not in written


def test_a_damaged_manifest_is_named(toy, tmp_path):
    run(toy, tmp_path)
    (tmp_path / "manifest.json").write_text('{"identity"')
    with pytest.raises(RunError, match=r"manifest.json is not JSON"):
        run(toy, tmp_path)


def test_a_call_inside_a_running_loop_does_the_tasks(toy, tmp_path):
    async def cell():
        return run(toy, tmp_path)

    assert asyncio.run(cell()).complete


def test_no_worker_at_all_is_refused(toy, tmp_path):
    with pytest.raises(ConfigError, match="concurrency is 0"):
        run(toy, tmp_path, concurrency=0)


async def test_cancelling_keeps_the_records_of_finished_tasks(toy, tmp_path):
    chat = toy.ToyChat(seconds=0.01)
    job = asyncio.create_task(
        run_tasks(toy.ToyAgent(5_000), toy.world(), lambda _: Tools(chat, toy.NoMemory()), tmp_path, seed=3)
    )
    while chat.calls < 200:
        await asyncio.sleep(0.01)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    summary = Summary.read(tmp_path / "summary.json")
    assert summary.stopped == "interrupted"
    assert 80 <= len(finished_keys(tmp_path)) == summary.tasks < 5_000


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_resume(toy, tmp_path):
    config = json.dumps({"n": 100_000, "seconds": 0.02})
    program = subprocess.Popen([sys.executable, toy.__file__, config, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: parts_of(tmp_path))
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=30)
    assert program.returncode != 0
    assert "the same command resumes" in said
    assert len(read_records(tmp_path)) == Summary.read(tmp_path / "summary.json").tasks > 0


def test_two_processes_on_one_folder_are_refused(toy, tmp_path):
    config = json.dumps({"n": 100_000, "seconds": 0.02})
    program = subprocess.Popen([sys.executable, toy.__file__, config, str(tmp_path)])
    try:
        wait_for(lambda: (tmp_path / "manifest.json").exists())
        with pytest.raises(RunError, match=f"is being written by process {program.pid} on"):
            run(toy, tmp_path)
    finally:
        program.kill()
        program.wait()
    assert run(toy, tmp_path / "other").complete


def test_memory_stays_flat_over_many_tasks(toy, tmp_path):
    class Instant(toy.ToyAgent):
        def graph(self):
            class Graph:
                async def ainvoke(self, state, context):
                    await asyncio.sleep(0)
                    return {"payload": {"text": "x" * 500}}

            return Graph()

        def tasks(self, data):
            for number in range(self.n):
                if number in (3_000, 12_000):
                    held.append(tracemalloc.get_traced_memory()[0])
                yield Task(f"user:{number}", {"number": number})

    held: list[int] = []
    tracemalloc.start()
    try:
        tools = Tools(toy.ToyChat(), toy.NoMemory())
        run_batch(Instant(12_001), toy.world(), lambda _: tools, tmp_path, seed=3, concurrency=32)
    finally:
        tracemalloc.stop()
    assert held[1] - held[0] < 2_500_000


def test_memories_are_durable_before_the_records_that_rest_on_them(toy, tmp_path):
    seen = []

    class Memory(toy.NoMemory):
        def flush(self):
            seen.append(len(parts_of(tmp_path)))

    memory = Memory()
    run_batch(toy.ToyAgent(5), toy.world(), lambda _: Tools(toy.ToyChat(), memory), tmp_path, seed=3)
    assert seen[0] == 0
    assert len(parts_of(tmp_path)) == 1


def wait_for(true, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_full_disk_stops_the_run_with_the_remedy(toy, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recloop.simulators.batch.parts.write_whole", refuse)
    with pytest.raises(RunError, match=r"No space left on device.*free the disk"):
        run(toy, tmp_path)
