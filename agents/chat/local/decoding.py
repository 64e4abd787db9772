"""Writing token by token: the likeliest or a drawn one, of all tokens or of those that a trie lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .model import LocalModel

Choice = Callable[[Tensor], int]
"""Of (vocabulary,) float32 log-probabilities the token to be written."""
Following = Callable[[Sequence[int]], Sequence[int] | None]
"""Of the tokens written so far those that may follow; None ends the text, whatever the model would say."""


@dataclass(frozen=True, slots=True)
class Written:
    """Tokens in order, without the one that ended the text."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each token under the model, all tokens allowed."""
    alternatives: tuple[tuple[tuple[int, float], ...], ...]
    """Of each place the likeliest tokens; empty unless asked for."""
    ended: bool
    """By itself, rather than by the most tokens allowed."""


def greedy(logprobs: Tensor) -> int:
    """The likeliest token, the lowest id among equals."""
    return int(logprobs.argmax())


def drawn(temperature: float, top_p: float, generator: torch.Generator) -> Choice:
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
) -> Written:
    """What `model` goes on with after `ids`, at most `most` tokens; the caller holds `model.computing()`.

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
            return Written(tuple(written), tuple(values), tuple(others), ended=True)
        out = model.network(input_ids=torch.tensor([fed], device=model.device), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logprobs = torch.log_softmax(out.logits[0, -1].float(), -1).cpu()
        token = choose(_kept(logprobs, allowed))
        if token in stops:
            return Written(tuple(written), tuple(values), tuple(others), ended=True)
        written.append(token)
        values.append(float(logprobs[token]))
        if alternatives:
            best = logprobs.topk(min(alternatives, len(logprobs)))
            others.append(tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
        fed = [token]
    ended = following is not None and following(written) is None
    return Written(tuple(written), tuple(values), tuple(others), ended)


def end_tokens(model: LocalModel) -> frozenset[int]:
    """The tokens that end a text, by the tokenizer and by the model's own configuration of generation."""
    named = getattr(model.network.generation_config, "eos_token_id", None)
    found = [named] if isinstance(named, int) else list(named or ())
    return frozenset(token for token in (*found, model.tokenizer.eos_token_id) if token is not None)


def _kept(logprobs: Tensor, allowed: Sequence[int] | None) -> Tensor:
    if allowed is None:
        return logprobs
    kept = torch.full_like(logprobs, -torch.inf)
    # A token of probability 0 in float32 stays possible where nothing else is.
    kept[list(allowed)] = logprobs[list(allowed)].clamp(min=torch.finfo(torch.float32).min)
    return kept
