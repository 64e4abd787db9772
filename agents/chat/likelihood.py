"""The interface to a model's token log-probabilities: a `Likelihood` scores each continuation of a text.

    likelihood = build_likelihood(LLMConfig(provider="local", model="folder"))           # agents/chat/build.py
    (scores,) = await likelihood([ScoringRequest(prompt, ("Kite Line", "Tin Robot"), begun='The noise is "')])
    scores[1].per_token

A caller appends to a continuation what ends it (a closing quote, a line's end) where a title that is the beginning of
another must not win by being shorter.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Literal, Protocol

from .types import Message


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """A prompt and the continuations to be scored after it; the prompt is computed once for all of them.

    A text as `prompt` is taken as it stands; messages go through the model's chat template, up to where its answer
    begins. `begun` is the beginning of that answer, the same for every continuation.
    """

    prompt: str | tuple[Message, ...]
    continuations: tuple[str, ...]
    begun: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """One continuation's tokens and the natural logarithm of each one's probability, given all before it (<= 0).

    The tokens are those of the whole text that reach past the beginning's end: one that straddles it counts.
    """

    text: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation; 0 for an empty one."""
        return math.fsum(self.logprobs)

    @property
    def per_token(self) -> float:
        """`total` over the number of tokens (length-normalised); NaN for an empty one."""
        return self.total / len(self.logprobs) if self.logprobs else math.nan

    @property
    def first(self) -> float:
        """Log-probability of the first token alone, LLM4DSR's score (arXiv 2408.08208, code); NaN for an empty one.

        Continuations that share a first token cannot be told apart by it.
        """
        return self.logprobs[0] if self.logprobs else math.nan


Scoring = Literal["echo", "prompt_logprobs"]
"""How a server scores a given text: see `served_likelihood.py`."""


class Likelihood(Protocol):
    """Scores requests in one batch: of each, its continuations in their order. Deterministic.

    Raises the `LLMError`s of `recloop.errors`, as a Chat does, and DataError where a text is longer than the model.
    """

    async def __call__(self, requests: Sequence[ScoringRequest]) -> list[tuple[Scored, ...]]: ...


YES, NO = "Yes", "No"


def yes_or_no(prompt: str | tuple[Message, ...], begun: str = "") -> ScoringRequest:
    """A request with the continuations Yes and No, in this order; " Yes" where the text before ends in no space."""
    before = begun or (prompt if isinstance(prompt, str) else "\n")
    gap = "" if not before or before[-1].isspace() or before[-1] in "\"'([" else " "
    return ScoringRequest(prompt, (gap + YES, gap + NO), begun)


def yes_share(scored: Sequence[Scored]) -> float:
    """p(Yes) / (p(Yes) + p(No)), in [0, 1], of a `yes_or_no` request's scores, by whole continuations."""
    yes, no = scored
    return 1 / (1 + math.exp(min(no.total - yes.total, 700.0)))


Script = Callable[[ScoringRequest], Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]]]
"""Of a request, for each continuation the log-probability of each of its tokens."""


def scripted_likelihood(script: Script) -> Likelihood:
    """A Likelihood for tests, by a function of the request; its tokens are words (`str.split`).

    A continuation may be given any number of log-probabilities; beyond its words the tokens are empty texts.
    """

    async def likelihood(requests: Sequence[ScoringRequest]) -> list[tuple[Scored, ...]]:
        return [_scripted(request, await _awaited(script(request))) for request in requests]

    return likelihood


async def _awaited(
    given: Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]],
) -> Sequence[Sequence[float]]:
    return await given if isawaitable(given) else given


def _scripted(request: ScoringRequest, given: Sequence[Sequence[float]]) -> tuple[Scored, ...]:
    return tuple(
        Scored(text, tuple((text.split() + [""] * len(logprobs))[: len(logprobs)]), tuple(map(float, logprobs)))
        for text, logprobs in zip(request.continuations, given, strict=True)
    )
