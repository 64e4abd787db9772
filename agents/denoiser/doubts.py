"""Doubt in an item, by mode: a review in words, the likelihood of titles, or ratings of hard samples by a profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ... import prompts
from ...errors import ConfigError
from ..agent import Tools
from ..chat.handles import doubts_reply, fits_reply, handles_for, substitute_reply
from ..chat.likelihood import Likelihood, ScoringRequest, yes_share
from ..chat.types import Message
from ..prompt_call import AgentSetup, call_prompt
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
ANSWER_PREFIX = 'The noise item is "'
"""Beginning of the answer whose continuation (a title) is scored; the closing quote ends each title, so that a short
title has no advantage."""


@dataclass(frozen=True)
class DenoiserSetup(AgentSetup[Denoise]):
    """What every node of the denoiser's graph shares."""

    likelihood: Likelihood | None = None


class Interests(BaseModel):
    """A profile in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interests: str = Field(min_length=1)


async def review_window(setup: DenoiserSetup, texts: Sequence[str], tools: Tools) -> tuple[list[float], list[str]]:
    """Doubt in [0, 1] and reason of each item of a window."""
    if setup.config.mode == "likelihood":
        return await title_doubts(setup, texts, tools), [""] * len(texts)
    names = handles_for(len(texts))
    options = dict(zip(names, texts, strict=True))
    reply: Any = await call_prompt(
        tools, setup, "denoise/review", doubts_reply(names), "review", {"options": options}, agent=NAME
    )
    entries = {entry.item: entry for entry in reply.doubts}
    return [entries[h].doubt for h in names], [entries[h].reason for h in names]


async def title_doubts(setup: DenoiserSetup, texts: Sequence[str], tools: Tools) -> list[float]:
    """Doubt in [0, 1] of each item: the mean probability of its title's tokens as the answer to which item is noise.

    `token: whole`: the geometric mean over the title; `first`: the first token's probability. `question: judge`: the
    share of No; `next`: how little the other items raise the title's likelihood.
    Raises ConfigError without a model that gives log-probabilities.
    """
    if setup.likelihood is None:
        raise ConfigError(
            "denoise.mode: likelihood needs a model that gives token log-probabilities; choose llm.provider local, or "
            "mode review"
        )
    questions, prompt = likelihood_questions(setup, texts)
    tools.tally.prompts.add(prompt)
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


def likelihood_questions(setup: DenoiserSetup, texts: Sequence[str]) -> tuple[list[ScoringRequest], str]:
    """The likelihood requests for a window, and name@digest of their prompt.

    One request about all items; for `judge` and `next` one an item.
    """
    question = setup.config.question
    prompt = prompts.load("denoise/review" if question == "review" else f"tune_lm/{question}", setup.wording)
    reference = f"{prompt.name}@{prompt.digest}"
    if question == "find":
        return [find_question(texts, setup.wording)], reference
    if question == "judge":
        return [doubt_question(texts, at, setup.wording) for at in range(len(texts))], reference
    if question == "next":
        return next_questions(texts, setup.wording), reference
    rendered = prompt.render(options=dict(zip(handles_for(len(texts)), texts, strict=True)))
    messages = (Message("system", rendered.system), Message("user", rendered.user))
    return [ScoringRequest(messages, tuple(f'{text}"' for text in texts), ANSWER_PREFIX)], reference


async def describe_interests(setup: DenoiserSetup, history: Sequence[str], tools: Tools) -> str:
    """A profile written from the items that are not in doubt."""
    words = setup.config.hard.words
    values = {"history": list(history), "words": words}
    reply = await call_prompt(tools, setup, "denoise/interests", Interests, "interests", values, agent=NAME)
    return first_words(reply.interests, words)


async def rate_items(setup: DenoiserSetup, profile: str, texts: Sequence[str], tools: Tools) -> list[int]:
    """Fit of each item to a profile, 1 to 10."""
    names = handles_for(len(texts))
    values = {"profile": profile, "options": dict(zip(names, texts, strict=True))}
    reply: Any = await call_prompt(tools, setup, "denoise/fit", fits_reply(names), "fit", values, agent=NAME)
    ratings = {entry.item: entry.rating for entry in reply.fits}
    return [ratings[h] for h in names]


async def revise_interests(
    setup: DenoiserSetup, profile: str, wrong: Sequence[str], right: Sequence[str], tools: Tools
) -> str:
    """The profile rewritten: without the items that were rated wrong, with those rated right."""
    values = {"profile": profile, "wrong": list(wrong), "right": list(right), "words": setup.config.hard.words}
    reply = await call_prompt(
        tools, setup, "denoise/revise_interests", Interests, "revise_interests", values, agent=NAME
    )
    return first_words(reply.interests, setup.config.hard.words)


async def choose_substitute(
    setup: DenoiserSetup, context: Sequence[str], texts: Sequence[str], tools: Tools
) -> tuple[int | None, float]:
    """The index in `texts` of the candidate that could stand in the context, or None; and how well it fits."""
    names = handles_for(len(texts))
    values = {"history": list(context), "options": dict(zip(names, texts, strict=True))}
    reply: Any = await call_prompt(
        tools, setup, "denoise/substitute", substitute_reply(names), "substitute", values, agent=NAME
    )
    return (None if reply.item is None else names.index(reply.item)), reply.fit


def first_words(text: str, count: int) -> str:
    """The first `count` words."""
    words = text.split()
    return text if len(words) <= count else " ".join(words[:count])
