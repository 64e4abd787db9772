"""What a tuned model is asked: the same words in the samples it learns from and in the questions it is scored by.

Find and replace names the title that does not belong, then the one that stood in its place; next item names a title,
and what the others add to its likelihood judges it; yes or no judges one item by others. A prompt that differs between
tuning and scoring by so much as a quote mark costs what was learnt (seen in LLM4DSR's public code), so both are made
here.
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
    """A title as prompts and answers have it: cleaned, on one line; "(untitled)" where nothing is left of it."""
    return " ".join(clean(title, 200).split()) or "(untitled)"


def find_prompt(titles: Sequence[str], wording: Path | None = None) -> tuple[Message, ...]:
    """Asks which of the titles does not belong and what stood in its place."""
    return _messages("find", wording, titles=[written(title) for title in titles])


def next_prompt(titles: Sequence[str], wording: Path | None = None) -> tuple[Message, ...]:
    """Asks what comes after the titles, oldest first."""
    return _messages("next", wording, titles=[written(title) for title in titles])


def judge_prompt(titles: Sequence[str], candidate: str, wording: Path | None = None) -> tuple[Message, ...]:
    """Asks whether whoever took the titles would take the candidate."""
    return _messages("judge", wording, titles=[written(title) for title in titles], candidate=written(candidate))


def find_question(titles: Sequence[str], wording: Path | None = None) -> ScoringRequest:
    """Weighs each title of a window as the one that does not belong, in the window's order."""
    return ScoringRequest(find_prompt(titles, wording), tuple(written(title) + END for title in titles))


def taste_question(titles: Sequence[str], candidate: str, wording: Path | None = None) -> ScoringRequest:
    """Weighs Yes against No for one candidate: read it by `yes_share`."""
    return ScoringRequest(judge_prompt(titles, candidate, wording), (YES, NO))


def doubt_question(titles: Sequence[str], at: int, wording: Path | None = None) -> ScoringRequest:
    """The same for one place of a window, judged by all the others; its doubt is 1 - `yes_share`."""
    return taste_question([*titles[:at], *titles[at + 1 :]], titles[at], wording)


def next_questions(titles: Sequence[str], wording: Path | None = None) -> list[ScoringRequest]:
    """Of each place its title as what comes after all the others; and last, all titles after none."""
    answers = tuple(written(title) + END for title in titles)
    after = [
        ScoringRequest(next_prompt([*titles[:at], *titles[at + 1 :]], wording), (answer,))
        for at, answer in enumerate(answers)
    ]
    return [*after, ScoringRequest(next_prompt([], wording), answers)]


def next_doubts(scored: Sequence[Sequence[Scored]]) -> list[float]:
    """Doubt in [0, 1] of each place, from what `next_questions` scored: .5 where the others do not change a title's
    likelihood, lower where they make it likelier.

    It is a / (a + b), of the means a token (geometric) a of the title alone and b after the others: their pointwise
    mutual information, which Holtzman et al. (arXiv 2104.08315) rank answers by, in a scale of our own.
    """
    *after, alone = scored
    pairs = [(one.per_token, row[0].per_token) for row, one in zip(after, alone, strict=True)]
    return [1 / (1 + math.exp(min(700.0, b - a))) for a, b in pairs]


def _messages(task: str, wording: Path | None, **values: object) -> tuple[Message, ...]:
    rendered = prompts.load(PROMPTS[task], wording).render(**values)
    return (Message("system", rendered.system), Message("user", rendered.user))
