"""Samples as tensors: padded on the left, so that all answers end together and only they need logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import DataError
from ..chat.local.encoding import opened
from ..chat.local.model import LocalModel
from .samples import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """A sample's ids, the end of text included; `answer` is where its answer begins, `weight` what it counts."""

    ids: list[int]
    answer: int
    weight: float


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """(rows, places) ids, mask, weights (what predicting the token at a place counts in the loss), and whether it
    belongs to an answer. `kept` is how many places at the end have a weight above 0 in some row."""

    ids: Tensor
    mask: Tensor
    weights: Tensor
    answers: Tensor
    kept: int


def rows_of(model: LocalModel, samples: Sequence[Sample]) -> list[Row]:
    """The samples as the model would read them, answer and all, ended by its end-of-text token.

    DataError for one that is longer than the model: cut off, it would teach an answer to a question half asked.
    """
    tokenizer = model.tokenizer
    texts = [opened(model, sample.prompt) for sample in samples]
    rows = []
    # Where the tokenizer adds a start of its own is the same for all prompts of one model.
    whole = [text + sample.answer for (text, _), sample in zip(texts, samples, strict=True)]
    told = tokenizer(whole, add_special_tokens=texts[0][1], return_offsets_mapping=True)
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    for (text, _), sample, ids, offsets in zip(texts, samples, told["input_ids"], told["offset_mapping"], strict=True):
        if end and ids[-1] == end[0] and offsets[-1][1] == 0:
            ids, offsets = ids[:-1], offsets[:-1]
        answer = next(at for at, (_, until) in enumerate(offsets) if until > len(text))
        if len(ids) + len(end) > model.length:
            raise DataError(
                f"a sample of task {sample.task} has {len(ids) + len(end)} tokens, {model.name} takes {model.length}: "
                "lower window or history"
            )
        rows.append(Row([*ids, *end], answer, sample.weight))
    return rows


def micro_batches(rows: Sequence[Row], size: int, prompt_weight: float) -> list[TokenBatch]:
    """The rows in batches of `size`, those of like length together."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    return [_batch(ordered[low : low + size], prompt_weight) for low in range(0, len(ordered), size)]


def _batch(rows: Sequence[Row], prompt_weight: float) -> TokenBatch:
    width = max(len(row.ids) for row in rows)
    ids, mask = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(2))
    weights = torch.zeros(len(rows), width)
    answers = torch.zeros(len(rows), width, dtype=torch.bool)
    for at, row in enumerate(rows):
        start = width - len(row.ids)
        ids[at, start:] = torch.tensor(row.ids)
        mask[at, start:] = 1
        # The first token of a text is predicted by nothing.
        weights[at, start + 1 : start + row.answer] = prompt_weight * row.weight
        weights[at, start + row.answer :] = row.weight
        answers[at, start + row.answer :] = True
    used = int((weights > 0).any(0).nonzero()[0, 0])
    return TokenBatch(ids, mask, weights, answers, width - used)


@dataclass(frozen=True, slots=True)
class Loss:
    """`loss` is the weighted sum of -log p over a batch's counted tokens; `answers` its sum over the `tokens` of the
    answers, unweighted and without gradient."""

    loss: Tensor
    answers: float
    tokens: int


def loss_of(model: LocalModel, batch: TokenBatch) -> Loss:
    """One pass over a batch."""
    device = model.device
    places = batch.mask.cumsum(1).sub(1).clamp(min=0)
    out = model.network(
        input_ids=batch.ids.to(device),
        attention_mask=batch.mask.to(device),
        position_ids=places.to(device),
        use_cache=False,
        logits_to_keep=batch.kept + 1,
    )
    last = slice(-batch.kept, None)
    target = batch.ids[:, last].to(device)
    logits = out.logits[:, -batch.kept - 1 : -1].float()
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    answers = batch.answers[:, last].to(device)
    loss = (each * batch.weights[:, last].to(device)).sum()
    return Loss(loss, float(each.detach()[answers].sum()), int(answers.sum()))
