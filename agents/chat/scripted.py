"""A model whose replies are written beforehand, for tests: a function of the request, or a list in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any

from pydantic import BaseModel

from ...errors import ReplayMiss
from .types import Chat, Reply, Request, Usage

Scripted = Reply | BaseModel | str | Exception
"""A whole Reply, an object to be sent as JSON, a text, or an error to be raised."""


def scripted_chat(
    replies: Iterable[Scripted] | Callable[[Request], Scripted | Awaitable[Scripted]], *, model: str = "scripted"
) -> Chat:
    """A Chat that answers by `replies`: a function called with each request, or a sequence used up in order.

    A text counts one token a word. Raises ReplayMiss when a sequence has run out.
    """
    answer = replies if callable(replies) else _in_order(replies)

    async def chat(request: Request) -> Reply:
        scripted: Any = answer(request)
        if isawaitable(scripted):
            scripted = await scripted
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(scripted, Reply):
            return scripted
        text = scripted.model_dump_json() if isinstance(scripted, BaseModel) else str(scripted)
        prompt_tokens = sum(len(message.content.split()) for message in request.messages)
        return Reply(text=text, model=model, usage=Usage(prompt_tokens, len(text.split())))

    return chat


def _in_order(replies: Iterable[Scripted]) -> Callable[[Request], Scripted]:
    waiting = list(replies)
    used = 0

    def answer(request: Request) -> Scripted:
        nonlocal used
        if used == len(waiting):
            raise ReplayMiss(f"the script holds {used} replies and is asked for one more")
        used += 1
        return waiting[used - 1]

    return answer
