"""`stopping_early`: ends a run whose calls all fail, after a handful of them, and names the commonest error.

Until the first usable reply only a few requests are in flight, so that a wrong setting costs a few calls, not one for
every place. It stands outside `retried` and `repaired`: what it counts are calls that were given up.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from ...errors import LLMError, ModelUnavailable, ReplayMiss, ReplyInvalid
from .places import Places
from .refusals import TOO_LONG
from .types import Chat, Reply, Request

TRIAL = 4
"""Requests in flight until the first usable reply."""
_PATIENCE = {"failed": 5, "unusable": 20, "missing": 20, "too long": 50}
"""Given-up calls in a row, by kind, that end a run which has had no usable reply. A weak model may fail at its form 19
times in 20; a long prompt is a fault of one request."""
_AFTER_A_SUCCESS = 5
"""How many times more it takes once a usable reply has come."""
_ADVICE = (
    "try llm.structured: json_object or prompt (a server may ignore the schema), a larger llm.max_tokens, or another "
    "model"
)


def stopping_early(chat: Chat) -> Chat:
    """`chat`, which raises a hopeless ModelUnavailable once so many calls in a row have failed in the same way."""
    streak = FailureStreak()
    places = Places(lambda: math.inf if streak.served else TRIAL)

    async def guarded(request: Request) -> Reply:
        await places.enter()
        try:
            streak.check()
            try:
                reply = await chat(request)
            except (ModelUnavailable, ReplyInvalid, ReplayMiss) as error:
                streak.failed(error)
                raise
            streak.succeeded()
            return reply
        finally:
            places.leave()

    return guarded


class FailureStreak:
    """Calls that failed since the last usable reply, by kind."""

    def __init__(self) -> None:
        self._errors: dict[str, list[str]] = {}
        self._factor = 1
        self._verdict: str | None = None
        self.served = False
        """Whether any usable reply has come."""

    def check(self) -> None:
        """Raises the hopeless error where the run has been given up."""
        if self._verdict is not None:
            raise ModelUnavailable(self._verdict, hopeless=True)

    def succeeded(self) -> None:
        """A usable reply came."""
        self._errors.clear()
        self._factor = _AFTER_A_SUCCESS
        self.served = True

    def failed(self, error: LLMError) -> None:
        """A call was given up. Raises the hopeless error where it is one too many of its kind."""
        if isinstance(error, ModelUnavailable) and error.hopeless:
            self._verdict = self._verdict or str(error)
            return
        kind = _kind(error)
        if kind == "unusable":
            # The server answers: failures of the other kinds are no streak.
            self._errors = {kind: self._errors.get(kind, [])}
        errors = self._errors.setdefault(kind, [])
        errors.append(str(error))
        if len(errors) >= _PATIENCE[kind] * self._factor and self._verdict is None:
            self._verdict = _summary(kind, errors)
        if self._verdict is not None:
            raise ModelUnavailable(self._verdict, hopeless=True) from error


def _kind(error: LLMError) -> str:
    if isinstance(error, ReplyInvalid):
        return "unusable"
    if isinstance(error, ReplayMiss):
        return "missing"
    return "too long" if TOO_LONG.search(str(error)) else "failed"


def _summary(kind: str, errors: list[str]) -> str:
    # Two messages that differ in their numbers (seconds, request ids) are one error.
    shapes = Counter(re.sub(r"\d+", "#", error)[:160] for error in errors)
    shape, count = shapes.most_common(1)[0]
    example = next(error for error in errors if re.sub(r"\d+", "#", error)[:160] == shape)
    if kind == "unusable":
        return (
            f"none of {len(errors)} replies in a row was usable; the commonest reason ({count} times): {example}; "
            f"{_ADVICE}"
        )
    return f"{len(errors)} calls in a row failed; the commonest error ({count} times): {example}"
