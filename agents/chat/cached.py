"""`cached`: stores validated replies by request; concurrent identical requests are coalesced; n draws are n entries.

It stands outermost and validates every reply against the request's own schema: a reply that is cut off, declined or of
the wrong form is never stored. What the chain inside made of several turns is stored as one reply, with the calls and
tokens it took.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ...errors import ReplyInvalid
from .question import key_of, parts_of
from .replies import Replies
from .structured import read
from .types import Chat, Reply, Request


def cached(chat: Chat, replies: Replies, *, endpoint: str, model: str) -> Chat:
    """`chat` with its validated replies kept in `replies`; `endpoint` and `model` are the rest of the key.

    Errors and invalid replies pass through and leave nothing behind.
    """
    in_flight: dict[bytes, asyncio.Future[Reply | None]] = {}

    async def chat_with_cache(request: Request) -> Reply:
        key = key_of(request, endpoint=endpoint, model=model)
        while (flight := in_flight.get(key)) is not None:
            reply = await asyncio.shield(flight)
            if reply is not None:
                return reply
            # The call that was waited for was cancelled or failed: make one of our own.
        stored = replies.get(key)
        if stored is not None:
            return stored
        flight = in_flight[key] = asyncio.get_running_loop().create_future()
        shared: Reply | None = None
        try:
            reply = await chat(request)
            if valid(reply, request):
                await replies.put(key, parts_of(request, endpoint=endpoint, model=model), reply)
                shared = replace(reply, cached=True)
            return reply
        finally:
            del in_flight[key]
            flight.set_result(shared)

    return chat_with_cache


def valid(reply: Reply, request: Request) -> bool:
    """Whether a reply may be kept: finish_reason is stop and the text validates as it stands."""
    if request.continuation is not None:
        return reply.logprobs is not None
    if reply.finish_reason != "stop":
        return False
    try:
        text, problem = read(reply, request)
    except ReplyInvalid:
        return False
    return problem is None and text.strip() == reply.text.strip()
