"""Synchronous verbs work with and without a running event loop, and Ctrl-C ends them in both."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading

import pytest
import recloop
from recloop.simulators.batch.event_loop import run_async

from tests.simulators.study_files import study_file

place = contextvars.ContextVar("place", default="nowhere")


async def where() -> tuple[str, str]:
    await asyncio.sleep(0)
    return threading.current_thread().name, place.get()


def test_without_a_running_loop_the_coroutine_runs_in_the_callers_thread() -> None:
    assert run_async(where())[0] == threading.current_thread().name


async def test_inside_a_running_loop_the_coroutine_sees_the_callers_context_variables() -> None:
    place.set("here")
    thread, seen = run_async(where())
    assert seen == "here"
    assert thread != threading.current_thread().name


async def test_inside_a_running_loop_an_exception_is_raised_to_the_caller() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        run_async(fails())


async def test_ctrl_c_inside_a_running_loop_cancels_the_coroutine_and_awaits_its_cleanup() -> None:
    events: list[str] = []

    async def endless() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            events.append("cleaned up")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what IPython has while a cell runs
    try:
        with pytest.raises(KeyboardInterrupt):
            run_async(endless())
    finally:
        signal.signal(signal.SIGINT, before)
    assert events == ["cleaned up"]


async def test_every_verb_that_asks_an_agent_works_inside_a_running_loop(tmp_path) -> None:
    study = study_file(
        tmp_path,
        data={"source": "bazaar", "n_users": 40, "n_items": 150},
        steps=[{"setwise": {"users": 3, "walk": 1, "rounds": 1}}],
        train={"models": ["popularity"], "seeds": [0]},
        out=str(tmp_path / "runs"),
        fidelity={"protocols": ["taste"], "users": 4},
    )
    assert recloop.estimate(study, tasks=2)["steps"]
    assert recloop.run(study).complete
    assert recloop.cache_explain(study)["missing"] == ""
    assert recloop.prompts_render("setwise/assess", study)["messages"]
    assert not recloop.fidelity(study, plots=False).stopped
    log = tmp_path / "log.csv"
    recloop.data_convert("bazaar", None, log, ["n_users=30", "n_items=130"])
    refined = recloop.refine(log, tmp_path / "refined.csv", settings=["steps=[{generate: {users: 2}}]"])
    assert refined.complete


async def test_a_batch_works_inside_a_running_loop(tmp_path) -> None:
    from recloop.agents.agent import Tools
    from recloop.simulators.batch.runner import run_batch

    from tests.simulators.batch import toy_batch as toy

    assert (
        run_batch(toy.ToyAgent(4), toy.world(), lambda _: Tools(toy.ToyChat(), toy.NoMemory()), tmp_path, seed=3).ok
        == 4
    )
