"""What can go wrong, and whose turn it is to mend it.

    RecloopError
    ├── ConfigError              yours: a study, an option or a file setting
    ├── DataError                yours: a data file; names file, row or field, and the remedy
    ├── RunError                 yours: a run folder that is locked, torn or of another study
    └── LLMError                 the model's or the server's
        ├── BudgetExceeded       the run's own limit; nothing was called
        ├── ModelUnavailable     refused, unreachable or out of attempts
        ├── ReplyInvalid         answered, but not in the form asked for
        └── ReplayMiss           a replay holds no such reply

Only the command line turns one of these into a line without a traceback.
"""

from __future__ import annotations

from typing import Any


class RecloopError(Exception):
    """Root of every error that recloop raises on purpose."""


class ConfigError(RecloopError):
    """A setting is wrong; the message names the key and the nearest right one."""


class DataError(RecloopError):
    """A data file is wrong; the message names file, row or field, and the remedy."""


class RunError(RecloopError):
    """A run folder cannot be used as asked; the message names it and the remedy."""


class LLMError(RecloopError):
    """A call to a language model did not give what was asked for."""


class BudgetExceeded(LLMError):
    """The next call would pass the run's limit of calls, tokens or money; it was not made."""


class ModelUnavailable(LLMError):
    """The server refused, could not be reached, or kept failing until no attempt was left.

    `retry_after` is the server's wish in seconds, `retryable` whether the same request may yet succeed and `status`
    the HTTP status where there was one. `busy` says that the server was too loaded or too far away to try, so that
    waiting is the cure and no attempt is used up; `spent` that it may have worked, and charged, for a lost answer;
    `hopeless` that every later call would fail alike, so that the run stops.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        busy: bool = False,
        spent: bool = False,
        hopeless: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status
        self.busy = busy
        self.spent = spent
        self.hopeless = hopeless


class ReplyInvalid(LLMError):
    """The reply cannot be used: wrong form (`kind="schema"`), cut off (`"truncated"`) or declined (`"refused"`).

    `reply` is the unusable `recloop.agents.chat.types.Reply` with the tokens and cost of every turn that led to it.
    """

    def __init__(self, message: str, *, kind: str = "schema", reply: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.reply = reply


class ReplayMiss(LLMError):
    """A replay was asked for a reply that was never recorded."""
