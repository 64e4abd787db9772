"""Runs a coroutine from synchronous code, also where an event loop runs already (a notebook, a web handler)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_async(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The coroutine's result; what it raises is raised here.

    Without a running event loop this is `asyncio.run`. With one, the coroutine gets an event loop in a thread of its
    own, with the caller's context variables, and the caller's loop waits. On Ctrl-C the coroutine is cancelled, its
    clean-up is awaited, and KeyboardInterrupt is raised; a second Ctrl-C does not wait.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return _run_in_thread(coroutine)


def _run_in_thread(coroutine: Coroutine[Any, Any, Result]) -> Result:
    context = contextvars.copy_context()
    outcome: Future[Result] = Future()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def supervised() -> Result:
        task = asyncio.current_task()
        assert task is not None
        running.set_result((asyncio.get_running_loop(), task))
        return await coroutine

    def work() -> None:
        try:
            with asyncio.Runner() as runner:
                outcome.set_result(runner.run(supervised(), context=context))
        except BaseException as error:
            outcome.set_exception(error)
            if not running.done():
                running.set_exception(error)

    thread = threading.Thread(target=work, name="recloop-event-loop", daemon=True)
    try:
        thread.start()
        result = outcome.result()
    except KeyboardInterrupt:
        if thread in threading.enumerate():
            loop, task = running.result()
            if not outcome.done():
                loop.call_soon_threadsafe(task.cancel)
            thread.join()
        raise
    thread.join()
    return result
