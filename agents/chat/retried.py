"""`retried`: the one layer that repeats a request, with jittered waits, and never one that must fail again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState

from ...errors import ModelUnavailable
from .types import Chat, Reply, Request

log = logging.getLogger(__name__)


def retried(
    chat: Chat,
    *,
    attempts: int = 5,
    patience: float = 600.0,
    first_wait: float = 0.5,
    longest_wait: float = 30.0,
    jitter: random.Random | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Chat:
    """`chat`, repeated while its error is retryable, for `attempts` failures and `patience` seconds from the first.

    A server that is too busy or away (429, 503, no connection) uses up no attempt, only patience: it did not try.
    Waits double from `first_wait` to `longest_wait` seconds, each uniform between half and all of that, and are never
    shorter than the server's Retry-After. `jitter` moves waiting times only, never a result.

    Raises the last ModelUnavailable, saying how often and how long it was tried; other errors pass at once.
    """
    draw = (jitter or random.Random()).uniform

    async def chat_with_retries(request: Request) -> Reply:
        try:
            return await chat(request)
        except ModelUnavailable as error:
            if not error.retryable:
                raise
            failed: ModelUnavailable | None = error
        first_failure = 0.0
        failures = tries = 0

        async def attempt() -> Reply:
            # The machinery of retrying takes half a millisecond to set up, which calls that succeed do without.
            nonlocal failed
            if failed is not None:
                first, failed = failed, None
                raise first
            return await chat(request)

        def again(state: RetryCallState) -> bool:
            nonlocal first_failure, failures, tries
            error = state.outcome.exception() if state.outcome else None
            if not isinstance(error, ModelUnavailable) or not error.retryable:
                return False
            first_failure = first_failure or clock()
            tries += 1
            failures += not error.busy
            log.info("asking again", extra={"tries": tries, "status": error.status, "busy": error.busy})
            return True

        def wait(state: RetryCallState) -> float:
            error = _error(state)
            step = min(longest_wait, first_wait * 2 ** min(tries - 1, 20))
            backoff = draw(step / 2, step)
            if error.retry_after is None:
                return backoff
            # Everybody was told the same moment: a little later than that, not all together.
            return error.retry_after + draw(0, min(1.0, backoff))

        def stop(state: RetryCallState) -> bool:
            return failures >= attempts or clock() - first_failure + (_error(state).retry_after or 0.0) > patience

        def give_up(state: RetryCallState) -> Reply:
            error = _error(state)
            waited = clock() - first_failure
            raise ModelUnavailable(
                f"gave up after {tries} tries in {waited:.0f} s; the last: {error}",
                retry_after=error.retry_after,
                status=error.status,
                busy=error.busy,
                spent=error.spent,
            ) from None

        retrying = AsyncRetrying(retry=again, wait=wait, stop=stop, sleep=sleep, retry_error_callback=give_up)
        return await retrying(attempt)

    return chat_with_retries


def _error(state: RetryCallState) -> ModelUnavailable:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ModelUnavailable)
    return error
