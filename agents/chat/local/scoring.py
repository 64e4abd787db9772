"""Log-probabilities of continuations: each prompt is computed once, and its cache serves all its continuations."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..likelihood import Likelihood, Scored, ScoringRequest
from .encoding import Encoded, Ids, encoded
from .model import LocalModel

TOKENS = 16_384
"""Cells (rows x places, cache included) of one batch of continuations, unless told otherwise."""
_PADDED = 1.5
"""How much longer than the shortest of a group a continuation may be."""
_LOGITS = 1 << 27
"""Logits held at once, in numbers: half a gigabyte as float32, whatever the vocabulary."""


def local_likelihood(model: LocalModel, *, tokens: int = TOKENS) -> Likelihood:
    """A Likelihood by `model`. A request's scores do not depend on other calls, nor on their order.

    Requests of one call share batches, which can move a score in its last digits (float32: about 1e-6). `tokens`
    bounds a batch: more is faster on a GPU and takes more memory.
    """

    async def likelihood(requests: Sequence[ScoringRequest]) -> list[tuple[Scored, ...]]:
        return await asyncio.to_thread(score, model, requests, tokens=tokens)

    return likelihood


def score(model: LocalModel, requests: Sequence[ScoringRequest], *, tokens: int = TOKENS) -> list[tuple[Scored, ...]]:
    """`local_likelihood` in the calling thread: of each request its continuations, in order."""
    rows = [encoded(model, request) for request in requests]
    logprobs: list[list[Tensor]] = [[] for _ in rows]
    with model.computing():
        for batch in _batches(rows, tokens):
            for at, values in zip(batch, _logprobs(model, [rows[at] for at in batch]), strict=True):
                logprobs[at] = values
    return [
        tuple(
            _scored(model, text, rest[skipped:], values[skipped:])
            for text, rest, skipped, values in zip(
                request.continuations, row.rests, row.skipped, of_request, strict=True
            )
        )
        for request, row, of_request in zip(requests, rows, logprobs, strict=True)
    ]


def _scored(model: LocalModel, text: str, ids: Ids, logprobs: Tensor) -> Scored:
    return Scored(text, tuple(model.tokenizer.convert_ids_to_tokens(list(ids))), tuple(logprobs.tolist()))


def _batches(rows: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
    """Indices of requests computed together: of like length, within `tokens` cells with all continuations."""
    batch: list[int] = []
    continuations = widest = 0
    order = sorted((at for at, row in enumerate(rows) if row.rests), key=lambda at: (-len(rows[at].shared), at))
    for at in order:
        count = continuations + len(rows[at].rests)
        wide = max(widest, max(len(rest) for rest in rows[at].rests))
        # The first of a batch has the longest beginning.
        if batch and count * (len(rows[batch[0]].shared) + wide) > tokens:
            yield batch
            batch, count, wide = [], len(rows[at].rests), max(len(rest) for rest in rows[at].rests)
        batch.append(at)
        continuations, widest = count, wide
    if batch:
        yield batch


def _logprobs(model: LocalModel, rows: Sequence[Encoded]) -> list[list[Tensor]]:
    """Of each row, of each continuation: (tokens,) float32 log-probabilities on the processor."""
    shared = [row.shared for row in rows]
    longest = max(map(len, shared))
    # Padded on the left, so that a continuation stands right after its beginning: sliding windows and biases by
    # distance count places in the cache.
    ids, mask = _padded(shared, longest, left=True)
    out = _forward(model, ids, mask, last_only=True)
    first = torch.log_softmax(out.logits[:, -1].float(), -1).cpu()
    owner = torch.tensor([at for at, row in enumerate(rows) for _ in row.rests])
    rests = [rest for row in rows for rest in row.rests]
    flat = [first[at, list(rest[:1])] for at, rest in zip(owner.tolist(), rests, strict=True)]
    for group in _alike([at for at, rest in enumerate(rests) if len(rest) > 1], rests):
        _go_on(model, out.past_key_values, mask, owner, rests, torch.tensor(group), flat)
    parts = iter(flat)
    return [[next(parts) for _ in row.rests] for row in rows]


def _alike(which: Sequence[int], rests: Sequence[Ids]) -> Iterator[list[int]]:
    """Those of `rests` in groups of like length: padded to the longest of a batch, short ones cost twice as much."""
    group: list[int] = []
    for at in sorted(which, key=lambda at: (len(rests[at]), at)):
        if group and len(rests[at]) - 1 > _PADDED * (len(rests[group[0]]) - 1) + 1:
            yield group
            group = []
        group.append(at)
    if group:
        yield group


def _go_on(
    model: LocalModel, cache: Any, mask: Tensor, owner: Tensor, rests: Sequence[Ids], longer: Tensor, flat: list[Tensor]
) -> None:
    """Extends `flat` by the tokens after the first, of the continuations that `longer` names; leaves `cache` alone."""
    cache = copy.copy(cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    chosen = [rests[at] for at in longer.tolist()]
    fed, fed_mask = _padded([rest[:-1] for rest in chosen], max(len(rest) for rest in chosen) - 1, left=False)
    cache.batch_select_indices(owner[longer].to(model.device))
    whole = torch.cat([mask[owner[longer]], fed_mask], 1)
    logits = _forward(model, fed, whole, cache=cache).logits
    target, _ = _padded([rest[1:] for rest in chosen], fed.shape[1], left=False)
    values = _picked(logits, target.to(model.device)).cpu()
    for at, rest, row in zip(longer.tolist(), chosen, values, strict=True):
        flat[at] = torch.cat([flat[at], row[: len(rest) - 1]])


def _forward(model: LocalModel, ids: Tensor, mask: Tensor, *, cache: Any = None, last_only: bool = False) -> Any:
    """One pass over `ids` (rows, places) whose mask (rows, cached + places) is 0 where a place is empty."""
    places = mask.cumsum(1).sub(1).clamp(min=0)[:, -ids.shape[1] :]
    more: dict[str, Any] = {"logits_to_keep": 1} if last_only else {}
    device = model.device
    return model.network(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=places.to(device),
        past_key_values=cache,
        use_cache=True,
        **more,
    )


def _picked(logits: Tensor, target: Tensor) -> Tensor:
    """(rows, places) log-probability of each target under (rows, places, vocabulary) logits."""
    step = max(1, _LOGITS // (logits.shape[1] * logits.shape[2]))
    parts = []
    for low in range(0, len(logits), step):
        block = logits[low : low + step].float()
        at = block.gather(2, target[low : low + step, :, None])[:, :, 0]
        parts.append(at - block.logsumexp(-1))
    return torch.cat(parts)


def _padded(rows: Sequence[Ids], width: int, *, left: bool) -> tuple[Tensor, Tensor]:
    """(rows, width) ids, 0 where empty, and their mask."""
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for at, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[at, where], mask[at, where] = torch.tensor(row, dtype=torch.long), 1
    return ids, mask
