"""Decoding token by token: greedy or sampled, over all tokens or over those that a trie allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model import LocalModel

Choice = Callable[[Tensor], int]
"""The next token, given (vocabulary,) float32 log-probabilities."""
Following = Callable[[Sequence[int]], Sequence[int] | None]
"""The tokens allowed after those so far; None ends the text."""


@dataclass(frozen=True, slots=True)
class GeneratedTokens:
    """Tokens in order, without the one that ended the text."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each token under the model, all tokens allowed."""
    alternatives: tuple[tuple[tuple[int, float], ...], ...]
    """Of each place the likeliest tokens; empty unless asked for."""
    ended: bool
    """By an end token, rather than at `most` tokens."""


def greedy(logprobs: Tensor) -> int:
    """The likeliest token, the lowest id among equals."""
    return int(logprobs.argmax())


def sampled(temperature: float, top_p: float, generator: torch.Generator) -> Choice:
    """A token by its probability at a temperature > 0, among the likeliest that reach `top_p` together."""

    def choose(logprobs: Tensor) -> int:
        p, order = torch.softmax(logprobs / temperature, -1).sort(descending=True, stable=True)
        p = torch.where(p.cumsum(0) - p < top_p, p, torch.zeros(()))
        return int(order[torch.multinomial(p.cpu(), 1, generator=generator)])

    return choose


def write(
    model: LocalModel,
    ids: Sequence[int],
    most: int,
    *,
    choose: Choice = greedy,
    following: Following | None = None,
    alternatives: int = 0,
) -> GeneratedTokens:
    """The continuation of `ids` by `model`, at most `most` tokens; the caller holds `model.computing()`.

    Without `following` the text ends at the model's own end-of-text tokens; with it, only where it says so.
    """
    stops = end_tokens(model) if following is None else frozenset()
    cache: Any = None
    fed = list(ids)
    written: list[int] = []
    values: list[float] = []
    others: list[tuple[tuple[int, float], ...]] = []
    while len(written) < most:
        allowed = following(written) if following is not None else None
        if following is not None and allowed is None:
            return GeneratedTokens(tuple(written), tuple(values), tuple(others), ended=True)
        out = model.network(input_ids=torch.tensor([fed], device=model.device), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logprobs = torch.log_softmax(out.logits[0, -1].float(), -1).cpu()
        token = choose(_masked(logprobs, allowed))
        if token in stops:
            return GeneratedTokens(tuple(written), tuple(values), tuple(others), ended=True)
        written.append(token)
        values.append(float(logprobs[token]))
        if alternatives:
            best = logprobs.topk(min(alternatives, len(logprobs)))
            others.append(tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
        fed = [token]
    ended = following is not None and following(written) is None
    return GeneratedTokens(tuple(written), tuple(values), tuple(others), ended)


def end_tokens(model: LocalModel) -> frozenset[int]:
    """The tokens that end a text, by the tokenizer and by the model's own configuration of generation."""
    named = getattr(model.network.generation_config, "eos_token_id", None)
    named_ids = [named] if isinstance(named, int) else list(named or ())
    return frozenset(token for token in (*named_ids, model.tokenizer.eos_token_id) if token is not None)


def _masked(logprobs: Tensor, allowed: Sequence[int] | None) -> Tensor:
    if allowed is None:
        return logprobs
    masked = torch.full_like(logprobs, -torch.inf)
    # A token of probability 0 in float32 stays possible where nothing else is.
    masked[list(allowed)] = logprobs[list(allowed)].clamp(min=torch.finfo(torch.float32).min)
    return masked
