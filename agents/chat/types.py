"""The interface to language models: a `Chat` answers a `Request` with a `Reply`.

Providers (offline, openai, litellm, replay, scripted) and wrappers (retried, limited, metered, cached) are all Chats,
so they compose: `cached(metered(limited(retried(openai_chat(...)))))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model samples its words; part of a request's identity."""

    temperature: float = 0.0
    """0 (greedy) to 2."""
    top_p: float | None = None
    """Nucleus sampling; None is the server's own default. Without effect at temperature 0."""
    max_tokens: int = 1024
    """Most tokens of a reply."""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request shows, as data: all that the `offline` provider answers from. Not part of the cache key.

    `kind` names the task (`rank`, `revise_profile`, `revise_items` ...), `values` holds the very texts that the prompt
    shows. Providers that are language models never read them.
    """

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Continuation:
    """A given text whose log-probability is wanted, in place of a reply that the model writes."""

    text: str
    """`Reply.logprobs` are those of its tokens, given all before it."""
    answer: str = ""
    """The beginning of the answer, between the messages and `text`; not scored."""
    templated: bool = True
    """Whether the messages go through the model's chat template; if not, the one message's content is the prompt."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model."""

    messages: tuple[Message, ...]
    schema: type[BaseModel] | None = None
    """The reply's form; its JSON schema is sent to the server and is part of the cache key. None asks for free text."""
    sampling: Sampling = Sampling()
    draw: int = 0
    """Which sample of the same request this is; n draws are n cache entries."""
    logprobs: bool = False
    """Ask for the log-probabilities of the reply's tokens."""
    agent: str = ""
    """The calling agent; for the usage table only."""
    prompt: str = ""
    """Digest of the prompt's files; for records only (the text itself is in the cache key)."""
    facts: Facts | None = None
    continuation: Continuation | None = None
    """Score this text instead of writing one; see `served_likelihood.py`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or many calls; None where a server does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


FinishReason = Literal["stop", "length", "refusal", "other"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `cost` is in US dollars, None where no price is known."""

    text: str
    model: str
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float = 0.0
    """From sending to having the whole reply."""
    cached: bool = False
    turns: int = 1
    """Calls this reply took, repair turns and repeated requests included. `usage` and `cost` are those of all turns."""
    repairs: int = 0
    """Of these, turns that repaired a reply of the wrong form."""
    unmatched: int = 0
    """Of these turns, those that named an item by a handle that the prompt does not have."""
    fenced: bool = False
    """Whether the JSON came wrapped (in a fence, in prose, behind thoughts), against the instructions."""
    logprobs: tuple[tuple[str, float], ...] | None = field(default=None)
    """(token, log-probability) in order, where asked for and given."""
    alternatives: tuple[tuple[tuple[str, float], ...], ...] | None = field(default=None)
    """Of each of these tokens the likeliest that could have stood there, itself included, where the server says."""


class Chat(Protocol):
    """One call to a model. Raises the `LLMError`s of `recloop.errors`, nothing else that a task should survive."""

    async def __call__(self, request: Request) -> Reply: ...


@dataclass(slots=True)
class Tally:
    """Counts of one task's calls so far; they become those of its Record."""

    calls: int = 0
    repairs: int = 0
    unmatched: int = 0
    """Replies that named an item which was not shown."""
    fenced: int = 0
    """Replies whose JSON had to be taken out of a Markdown fence."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    model: str = ""
    prompts: set[str] = field(default_factory=set)


class ChatTools(Protocol):
    """What `ask` needs of an agent's tools."""

    @property
    def chat(self) -> Chat: ...

    @property
    def tally(self) -> Tally: ...
