"""Prompts of a tuned model: the same wording in its training samples and in the scoring requests.

find: name the title that does not belong, then the original one; next: name the next title, judged by how much the
others raise its likelihood; judge: yes or no for one item given others. A prompt that differs between tuning and
scoring by a single quote mark loses what was learnt (seen in LLM4DSR's public code), so both are made here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ... import prompts
from ...prompts.fencing import clean
from ..chat.likelihood import NO, YES, Scored, ScoringRequest
from ..chat.types import Message

PROMPTS = {"find": "tune_lm/find", "next": "tune_lm/next", "judge": "tune_lm/judge"}
END = "\n"
"""What ends a title in an answer: a line's end, which no title holds."""


def written(title: str) -> str:
    """A title as in prompts and answers: cleaned, on one line; "(untitled)" if nothing is left."""
    return " ".join(clean(title, 200).split()) or "(untitled)"


def find_prompt(titles: Sequence[str], wording: Path | None = None) -> tuple[Message, ...]:
    """Prompt: which of the titles does not belong, and which title was in its place?"""
    return _messages("find", wording, titles=[written(title) for title in titles])


def next_prompt(titles: Sequence[str], wording: Path | None = None) -> tuple[Message, ...]:
    """Prompt: which title comes after these, given oldest first?"""
    return _messages("next", wording, titles=[written(title) for title in titles])


def judge_prompt(titles: Sequence[str], candidate: str, wording: Path | None = None) -> tuple[Message, ...]:
    """Prompt: would a user who took these titles take the candidate?"""
    return _messages("judge", wording, titles=[written(title) for title in titles], candidate=written(candidate))


def find_question(titles: Sequence[str], wording: Path | None = None) -> ScoringRequest:
    """Scores each title of a window as the answer to `find_prompt`, in the window's order."""
    return ScoringRequest(find_prompt(titles, wording), tuple(written(title) + END for title in titles))


def taste_question(titles: Sequence[str], candidate: str, wording: Path | None = None) -> ScoringRequest:
    """Scores Yes and No for one candidate; `yes_share` gives the probability."""
    return ScoringRequest(judge_prompt(titles, candidate, wording), (YES, NO))


def doubt_question(titles: Sequence[str], at: int, wording: Path | None = None) -> ScoringRequest:
    """`taste_question` for the title at position `at` of a window, given all others; its doubt is 1 - `yes_share`."""
    return taste_question([*titles[:at], *titles[at + 1 :]], titles[at], wording)


def next_questions(titles: Sequence[str], wording: Path | None = None) -> list[ScoringRequest]:
    """For each position, the title as next after all others; and last, all titles after an empty history."""
    answers = tuple(written(title) + END for title in titles)
    after = [
        ScoringRequest(next_prompt([*titles[:at], *titles[at + 1 :]], wording), (answer,))
        for at, answer in enumerate(answers)
    ]
    return [*after, ScoringRequest(next_prompt([], wording), answers)]


def next_doubts(scored: Sequence[Sequence[Scored]]) -> list[float]:
    """Doubt in [0, 1] of each position, from the scores of `next_questions`: .5 if the others do not change a title's
    likelihood, lower if they raise it.

    It is a / (a + b) with the geometric mean likelihoods per token a of the title alone and b after the others: a
    monotone function of their pointwise mutual information, by which Holtzman et al. (arXiv 2104.08315) rank answers.
    """
    *after, alone = scored
    pairs = [(one.per_token, row[0].per_token) for row, one in zip(after, alone, strict=True)]
    return [1 / (1 + math.exp(min(700.0, b - a))) for a, b in pairs]


def _messages(task: str, wording: Path | None, **values: object) -> tuple[Message, ...]:
    rendered = prompts.load(PROMPTS[task], wording).render(**values)
    return (Message("system", rendered.system), Message("user", rendered.user))
