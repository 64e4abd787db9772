"""`metered`: every call is counted, priced where a price is known, and kept within the budget before it is made.

It stands right around the provider, so that it sees each request that is sent, the repeated ones too.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import lru_cache

from pydantic import BaseModel

from ...errors import ConfigError, ModelUnavailable, ReplyInvalid
from .meter import Meter, Spent
from .prices import Price, Prices, price_of
from .schemas import strict_schema
from .types import Chat, Reply, Request, Usage

_TOKENS_A_MESSAGE = 8


def metered(chat: Chat, meter: Meter, *, model: str, prices: Prices | None = None) -> Chat:
    """`chat` with its calls counted in `meter` and `Reply.cost` filled in from `prices` (None where unknown).

    Raises ConfigError where the budget is in dollars and no price of `model` is known, and BudgetExceeded, before
    calling, where the next call could pass the budget.
    """
    price = price_of(model, prices or {})
    if meter.budget.usd is not None and price is None:
        raise ConfigError(
            f"budget.usd is set, but no price of model {model!r} is known: add it to the file in llm.prices "
            f"(`{model}: {{prompt: ..., completion: ...}}`, dollars a million tokens), or set budget.tokens instead"
        )

    async def counted(request: Request) -> Reply:
        asked, most = prompt_tokens(request), request.sampling.max_tokens
        reservation = await meter.reserve(asked + most, _dollars(price, Usage(asked, most)))
        try:
            reply = await chat(request)
        except ModelUnavailable as error:
            if error.spent:
                meter.settle(reservation, request.agent, _lost(asked, price))
            else:
                meter.release(reservation)
            raise
        except ReplyInvalid:
            meter.settle(reservation, request.agent, _lost(asked, price))
            raise
        except asyncio.CancelledError:
            # The request may be on its way, and a server works it off whether or not anybody waits.
            meter.settle(reservation, request.agent, _lost(asked, price))
            raise
        except BaseException:
            meter.release(reservation)
            raise
        known = reply.usage.prompt_tokens is not None and reply.usage.completion_tokens is not None
        usage = reply.usage if known else Usage(asked, text_tokens(reply.text))
        cost = reply.cost if reply.cost is not None else price.of(usage) if price else None
        spent = Spent(
            calls=1,
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
            usd=cost or 0.0,
            unpriced_calls=int(cost is None),
            estimated_calls=int(not known),
        )
        meter.settle(reservation, request.agent, spent)
        return reply if cost == reply.cost else replace(reply, cost=cost)

    return counted


def prompt_tokens(request: Request) -> int:
    """At most how many tokens the request's text takes: what is reserved, before the server has counted."""
    said = sum(text_tokens(message.content) + _TOKENS_A_MESSAGE for message in request.messages)
    return said + (_schema_tokens(request.schema) if request.schema else 0)


def text_tokens(text: str) -> int:
    """A bound on a text's tokens: one for two bytes of UTF-8. English takes one for four, Chinese one for three."""
    return (len(text.encode(errors="replace")) + 1) // 2


@lru_cache(maxsize=4096)
def _schema_tokens(schema: type[BaseModel]) -> int:
    """Servers put the schema into the prompt in a form of their own, and charge for it."""
    return text_tokens(json.dumps(strict_schema(schema)))


def _lost(asked: int, price: Price | None) -> Spent:
    return Spent(
        calls=1,
        prompt_tokens=asked,
        usd=_dollars(price, Usage(asked, 0)),
        unpriced_calls=int(price is None),
        lost_calls=1,
    )


def _dollars(price: Price | None, usage: Usage) -> float:
    return (price.of(usage) if price else None) or 0.0
