"""How many tokens a request takes before the server has counted: a true upper bound for budgets, an estimate for rates.

A tokenizer that works on bytes (byte-level BPE, SentencePiece with byte fallback) makes at most one token of each byte
of UTF-8: the bound. English takes a quarter of it, Chinese a third, one emoji or a Georgian letter nearly all of it.
"""

from __future__ import annotations

import json
from functools import lru_cache

from pydantic import BaseModel

from .schemas import strict_schema
from .types import Request

_TOKENS_A_MESSAGE = 8
_TOKENS_A_REQUEST = 64
"""For what a chat template adds by itself: a date, a default system prompt."""


def prompt_token_bound(request: Request) -> int:
    """At most how many tokens the request's prompt takes."""
    tokens = sum(token_bound(message.content) + _TOKENS_A_MESSAGE for message in request.messages)
    if request.continuation is not None:
        tokens += token_bound(request.continuation.answer + request.continuation.text) + _TOKENS_A_MESSAGE
    return tokens + _TOKENS_A_REQUEST + (_schema_bound(request.schema) if request.schema else 0)


def estimated_prompt_tokens(request: Request) -> int:
    """About how many tokens the prompt takes, rather more than fewer: one for two bytes, as a rate limit needs it."""
    return (prompt_token_bound(request) + 1) // 2


def token_bound(text: str) -> int:
    """At most how many tokens a text takes: one for each byte of UTF-8."""
    return len(text.encode(errors="replace"))


@lru_cache(maxsize=4096)
def _schema_bound(schema: type[BaseModel]) -> int:
    """Servers put the schema into the prompt in a form of their own, and charge for it."""
    return token_bound(json.dumps(strict_schema(schema)))
