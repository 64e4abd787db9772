"""`metered`: counts every call, prices it where a price is known, and keeps it within the budget before it is made.

It stands right around the provider, so that it sees each request that is sent, the repeated ones too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from ...errors import ConfigError, DataError, ModelUnavailable, ReplyInvalid
from .likelihood import Likelihood, Scored, ScoringRequest
from .meter import Meter, Spent
from .prices import Price, Prices, price_of
from .token_bounds import prompt_token_bound, token_bound
from .types import Chat, Reply, Request, Usage

log = logging.getLogger(__name__)

_CHARACTERS_A_TOKEN = 12
"""No tokenizer puts more characters of a real prompt into a token, on average; English has 4 to 5."""
_SHORT_PROMPT = 400
"""Characters; below, a few merged blanks could pass the ratio."""


def metered(chat: Chat, meter: Meter, *, model: str, prices: Prices | None = None) -> Chat:
    """`chat` with its calls counted in `meter` and `Reply.cost` filled in from `prices` (None where unknown).

    What is reserved bounds the call's tokens from above, and a lost answer counts as all of it, so that the limit holds
    for any text. A server that counts more prompt tokens than that bound (a prompt of its own) raises later bounds.

    Raises ConfigError where the budget is in dollars and no price of `model` is known, and BudgetExceeded, before
    calling, where the next call could pass the budget.
    """
    price = price_of(model, prices or {})
    if meter.budget.usd is not None and price is None:
        raise ConfigError(
            f"budget.usd is set, but no price of model {model!r} is known: add it to the file in llm.prices "
            f"(`{model}: {{prompt: ..., completion: ...}}`, dollars a million tokens), or set budget.tokens instead"
        )
    surplus = 0
    cut_prompt_seen = False

    async def chat_with_account(request: Request) -> Reply:
        nonlocal surplus, cut_prompt_seen
        bound = prompt_token_bound(request)
        prompt, most = bound + surplus, request.sampling.max_tokens
        reservation = await meter.reserve(prompt + most, _dollars(price, Usage(prompt, most)))
        try:
            reply = await chat(request)
        except ModelUnavailable as error:
            if error.spent:
                meter.settle(reservation, request.agent, _lost(Usage(prompt, most), price))
            else:
                meter.release(reservation)
            raise
        except ReplyInvalid:
            # Declined by a filter before anything was written.
            meter.settle(reservation, request.agent, _lost(Usage(prompt, 0), price))
            raise
        except (asyncio.CancelledError, DataError):
            # A server works a request off whether or not anybody waits; and an unreadable score was computed.
            meter.settle(reservation, request.agent, _lost(Usage(prompt, most), price))
            raise
        except BaseException:
            meter.release(reservation)
            raise
        known = reply.usage.prompt_tokens is not None and reply.usage.completion_tokens is not None
        usage = reply.usage if known else Usage(prompt, min(token_bound(reply.text), most))
        if known:
            surplus = max(surplus, (usage.prompt_tokens or 0) - bound)
            if not cut_prompt_seen:
                cut_prompt_seen = _warn_of_cut_prompt(request, usage.prompt_tokens or 0)
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

    return chat_with_account


def metered_likelihood(likelihood: Likelihood, meter: Meter, *, agent: str = "likelihood") -> Likelihood:
    """`likelihood`, which costs nothing (a local model), with a call counted for each request of a batch.

    A batch is computed whole or, where the budget has not so many calls or tokens left, not at all (BudgetExceeded).
    """

    async def likelihood_with_account(requests: Sequence[ScoringRequest]) -> list[tuple[Scored, ...]]:
        tokens = sum(_scored_bytes(request) for request in requests)
        reservation = await meter.reserve(tokens, 0.0, calls=len(requests))
        try:
            scores = await likelihood(requests)
        except BaseException:
            meter.release(reservation)
            raise
        meter.settle(
            reservation, agent, Spent(calls=len(requests), prompt_tokens=tokens, estimated_calls=len(requests))
        )
        return scores

    return likelihood_with_account


def _scored_bytes(request: ScoringRequest) -> int:
    """A bound on the tokens of a prompt, read once, and of its continuations."""
    prompt = request.prompt if isinstance(request.prompt, str) else "".join(m.content for m in request.prompt)
    return token_bound(prompt + request.begun + "".join(request.continuations))


def _warn_of_cut_prompt(request: Request, tokens: int) -> bool:
    """Whether the server counted so few tokens that it must have read less than was sent; says so once."""
    characters = sum(len(message.content) for message in request.messages)
    if characters < _SHORT_PROMPT or tokens * _CHARACTERS_A_TOKEN > characters:
        return False
    log.warning(
        "the server counted %d tokens in a prompt of %d characters: it probably reads only a part of each prompt; "
        "raise the context length that it runs the model with (Ollama: num_ctx)",
        tokens,
        characters,
    )
    return True


def _lost(usage: Usage, price: Price | None) -> Spent:
    return Spent(
        calls=1,
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        usd=_dollars(price, usage),
        unpriced_calls=int(price is None),
        lost_calls=1,
    )


def _dollars(price: Price | None, usage: Usage) -> float:
    return (price.of(usage) if price else None) or 0.0
