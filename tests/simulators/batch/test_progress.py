import io
import json
import re

import pytest
from recloop.simulators.batch.progress import Bar, CallPace, Lines, Standing, watcher


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def standing(done: int, **rest) -> Standing:
    values = {"agent": "toy", "done": done, "total": 100, "resumed": 20, "invalid": 1, "failed": 2, "calls": 60}
    values |= {"cached": 10, "tokens": 900, "cost": 0.25, "seconds": 4.0}
    return Standing(**{**values, **rest})


def test_the_end_is_foretold_from_this_runs_own_pace():
    assert standing(60).eta == pytest.approx(4.0)
    assert standing(20).eta is None
    assert standing(60, total=None).eta is None
    assert standing(60).calls_per_second == 15.0


def test_the_time_left_is_right_from_the_first_finished_task_on_where_tasks_make_many_calls():
    # 32 tasks at a time, 4 to 16 calls of one second each: 6,400 tasks are 2,000 seconds of work.
    lengths = [4 + (7 * place) % 13 for place in range(6400)]
    tasks, under_way, pace = iter(lengths), [], CallPace()
    end = sum(lengths) / 32
    begun = finished = task_calls = calls = second = 0
    while second < 1800:
        while len(under_way) < 32:
            under_way.append([next(tasks)] * 2)
            begun += 1
        second += 1
        calls += 32
        under_way = [[whole, left - 1] for whole, left in under_way]
        ends = [whole for whole, left in under_way if not left]
        finished, task_calls = finished + len(ends), task_calls + sum(ends)
        under_way = [task for task in under_way if task[1]]
        now = Standing("toy", finished, 6400, 0, 0, 0, calls, 0, 0, 0.0, float(second), task_calls=task_calls,
                       begun=begun, pace=pace.update(second, calls))  # fmt: skip
        if finished:
            assert now.eta == pytest.approx(end - second, rel=0.65 if second < 16 else 0.12), second


def test_a_time_left_that_the_tasks_under_way_have_outrun_is_unknown_and_not_zero():
    # 80 tasks side by side; the two short ones have ended, the others have made more calls than those foretell.
    now = standing(2, total=80, resumed=0, calls=2400, task_calls=50, begun=80, pace=900.0)
    assert now.eta is None
    assert standing(79, total=80, resumed=0, calls=6000, task_calls=5900, begun=80, pace=900.0).eta is not None


def test_replies_from_the_cache_at_a_resume_do_not_make_the_time_left_short_for_long():
    pace = CallPace()
    pace.update(0.5, 5000)  # all from the cache
    for second in range(1, 60):
        late = pace.update(float(second), 5000 + 10 * second)
    assert late == pytest.approx(10.0)


def test_without_a_terminal_there_is_one_line_a_second_and_a_last_one():
    out = io.StringIO()
    watch = watcher(out)
    for done in range(30, 60):
        watch.show(standing(done))
    watch.show(standing(60, ended=True))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1] == (
        "progress agent=toy done=60 total=100 invalid=1 failed=2 calls=60 cached=10 tokens=900 cost=0.25 "
        "calls_per_second=15.0 eta=4 seconds=4.0"
    )


def test_json_lines_are_json_each_even_on_a_terminal():
    out = Terminal()
    watch = watcher(out, json_lines=True)
    watch.show(standing(60, cost=None))
    watch.say('a "torn" part')
    shown, said = (json.loads(line) for line in out.getvalue().splitlines())
    assert (shown["done"], shown["total"], shown["cost"]) == (60, 100, None)
    assert said == {"message": 'a "torn" part'}


def test_a_terminal_gets_a_bar_with_calls_tokens_and_cost(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    watch = watcher(out)
    assert isinstance(watch, Bar)
    watch.show(standing(60, ended=True))
    watch.show(standing(10, agent="second", cost=None))
    watch.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "60/100" in plain
    assert "60 calls (10 cached) 900 tokens $0.2500 15.0/s" in plain
    assert "2 failed 1 invalid" in plain
    assert re.search(r"second.*10/100.*cost \?", plain)


def test_nothing_is_ever_said_on_stdout(capsys):
    watch = watcher()
    assert isinstance(watch, Lines)
    watch.show(standing(60))
    watch.close()
    said = capsys.readouterr()
    assert said.out == ""
    assert "done=60" in said.err
