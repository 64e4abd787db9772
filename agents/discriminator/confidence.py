"""Confidence in a yes: from token log-probabilities, from what the model states, or from votes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ..chat.types import Reply

_ANSWER = re.compile(r'"answer"\s*:\s*"(yes|no)')


def stated(answer: str, confidence: float) -> float:
    """The probability of yes that an answer with its confidence states."""
    return confidence if answer == "yes" else 1 - confidence


def by_tokens(reply: Reply, answers: Sequence[str]) -> list[float] | None:
    """p(yes) / (p(yes) + p(no)) at the token that begins each answer, in the order of the reply; None without tokens.

    answers: the yes and no of the reply as it was read; tokens that spell another reply give None. Where a server names
    no alternative, what is left of the token's probability counts for the other answer.
    """
    if not reply.logprobs:
        return None
    text = "".join(token for token, _ in reply.logprobs)
    places = [(match.group(1), match.start(1)) for match in _ANSWER.finditer(text)]
    if [word for word, _ in places] != list(answers):
        return None
    starts: list[int] = []
    at = 0
    for token, _ in reply.logprobs:
        starts.append(at)
        at += len(token)
    confidences = []
    for word, place in places:
        index = max(i for i, start in enumerate(starts) if start <= place)
        confidences.append(_yes(reply, index, word))
    return confidences


def share(votes: Sequence[Sequence[str]]) -> list[float]:
    """The share of yes for each item, over draws that name the items in one order."""
    return [sum(answer == "yes" for answer in answers) / len(answers) for answers in zip(*votes, strict=True)]


def _yes(reply: Reply, index: int, word: str) -> float:
    assert reply.logprobs is not None
    token, logprob = reply.logprobs[index]
    others = reply.alternatives[index] if reply.alternatives is not None else ()
    mass = {"yes": 0.0, "no": 0.0}
    for piece, value in dict([(token, logprob), *others]).items():
        side = _side(piece)
        if side is not None:
            mass[side] += math.exp(value)
    other = "no" if word == "yes" else "yes"
    if not mass[word]:
        mass[word] = math.exp(logprob)
    if not mass[other]:
        mass[other] = max(0.0, 1 - mass[word])
    total = mass["yes"] + mass["no"]
    return mass["yes"] / total if total else 0.5


def _side(token: str) -> Any:
    """Which answer a token begins, if any: `yes`, ` "ye`, `No`."""
    letters = "".join(c for c in token if c.isalpha()).lower()
    return next((word for word in ("yes", "no") if letters and word.startswith(letters)), None)
