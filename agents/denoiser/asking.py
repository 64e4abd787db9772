"""The three ways to a doubt: a review in words, the likelihood of titles, ratings of hard samples against a profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ... import prompts
from ...errors import ConfigError
from ..agent import Tools
from ..asking import ask_about
from ..chat.handles import doubts_reply, fits_reply, handles_for, substitute_reply
from ..chat.likelihood import Likelihood, Question, yes_share
from ..chat.types import Message, Sampling
from ..tuning.wording import doubt_question, find_question, next_doubts, next_questions
from .config import Denoise

NAME = "denoise"
PROMPTS = (
    "denoise/review",
    "denoise/substitute",
    "denoise/interests",
    "denoise/fit",
    "denoise/revise_interests",
    "tune_lm/find",
    "tune_lm/judge",
)
BEGUN = 'The noise item is "'
"""How the answer begins whose title is weighed; the closing quote ends each title, so that none wins by being short."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node of one machine shares."""

    config: Denoise = Denoise()
    sampling: Sampling = Sampling()
    wording: Path | None = None
    """A folder of prompts that come before those shipped."""
    likelihood: Likelihood | None = None


class Interests(BaseModel):
    """A profile in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interests: str = Field(min_length=1)


async def reviewed(setup: Setup, texts: Sequence[str], tools: Tools) -> tuple[list[float], list[str]]:
    """Doubt in [0, 1] and reason of each item of a window."""
    if setup.config.mode == "likelihood":
        return await weighed(setup, texts, tools), [""] * len(texts)
    names = handles_for(len(texts))
    options = dict(zip(names, texts, strict=True))
    reply: Any = await ask_about(
        tools, setup, "denoise/review", doubts_reply(names), "review", {"options": options}, agent=NAME
    )
    said = {entry.item: entry for entry in reply.doubts}
    return [said[h].doubt for h in names], [said[h].reason for h in names]


async def weighed(setup: Setup, texts: Sequence[str], tools: Tools) -> list[float]:
    """Doubt in [0, 1] of each item: the mean probability of its title's tokens as the answer to what is noise.

    The geometric mean over the whole title, or the first token's probability; of a model that judges, the share of No;
    of one that names the next item, how little the others add to the title's likelihood.
    Raises ConfigError without a model that gives log-probabilities.
    """
    if setup.likelihood is None:
        raise ConfigError(
            "denoise.mode: likelihood needs a model that gives token log-probabilities; choose llm.provider local, or "
            "mode review"
        )
    questions, worded = questions_about(setup, texts)
    tools.tally.prompts.add(worded)
    scored = await setup.likelihood(questions)
    tools.tally.calls += len(questions)
    if setup.config.question == "judge":
        return [1 - yes_share(row) for row in scored]
    if setup.config.question == "next":
        return next_doubts(scored)
    return [
        math.exp(min(0.0, one.first if setup.config.token == "first" else one.per_token)) if one.logprobs else 0.0
        for one in scored[0]
    ]


def questions_about(setup: Setup, texts: Sequence[str]) -> tuple[list[Question], str]:
    """What is asked about a window, and the name and digest of the prompt: one question of all items, or, of a model
    that judges one by the others, one an item."""
    question = setup.config.question
    prompt = prompts.load("denoise/review" if question == "review" else f"tune_lm/{question}", setup.wording)
    worded = f"{prompt.name}@{prompt.digest}"
    if question == "find":
        return [find_question(texts, setup.wording)], worded
    if question == "judge":
        return [doubt_question(texts, at, setup.wording) for at in range(len(texts))], worded
    if question == "next":
        return next_questions(texts, setup.wording), worded
    rendered = prompt.render(options=dict(zip(handles_for(len(texts)), texts, strict=True)))
    messages = (Message("system", rendered.system), Message("user", rendered.user))
    return [Question(messages, tuple(f'{text}"' for text in texts), BEGUN)], worded


async def described(setup: Setup, history: Sequence[str], tools: Tools) -> str:
    """The interests behind what is not in doubt."""
    words = setup.config.hard.words
    shown = {"history": list(history), "words": words}
    reply = await ask_about(tools, setup, "denoise/interests", Interests, "interests", shown, agent=NAME)
    return clipped(reply.interests, words)


async def rated(setup: Setup, profile: str, texts: Sequence[str], tools: Tools) -> list[int]:
    """Fit of each item to a profile, 1 to 10."""
    names = handles_for(len(texts))
    options = dict(zip(names, texts, strict=True))
    shown = {"profile": profile, "options": options}
    reply: Any = await ask_about(tools, setup, "denoise/fit", fits_reply(names), "fit", shown, agent=NAME)
    said = {entry.item: entry.rating for entry in reply.fits}
    return [said[h] for h in names]


async def revised(setup: Setup, profile: str, wrong: Sequence[str], right: Sequence[str], tools: Tools) -> str:
    """The profile without what is not theirs, with what is."""
    shown = {"profile": profile, "wrong": list(wrong), "right": list(right), "words": setup.config.hard.words}
    reply = await ask_about(tools, setup, "denoise/revise_interests", Interests, "revise_interests", shown, agent=NAME)
    return clipped(reply.interests, setup.config.hard.words)


async def substituted(
    setup: Setup, context: Sequence[str], texts: Sequence[str], tools: Tools
) -> tuple[int | None, float]:
    """Which candidate could have stood there, by its place in `texts`, or None; and how well it fits."""
    names = handles_for(len(texts))
    options = dict(zip(names, texts, strict=True))
    shown = {"history": list(context), "options": options}
    reply: Any = await ask_about(
        tools, setup, "denoise/substitute", substitute_reply(names), "substitute", shown, agent=NAME
    )
    return (None if reply.item is None else names.index(reply.item)), reply.fit


def clipped(text: str, words: int) -> str:
    """The first so many words."""
    said = text.split()
    return text if len(said) <= words else " ".join(said[:words])
