"""Samples as tensors, padded on the left, so that answers are aligned at the end and only they need logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...errors import DataError
from ..chat.local.encoding import opened
from ..chat.local.model import LocalModel
from .config import TuneLM
from .samples import Sample


@dataclass(frozen=True, slots=True)
class Row:
    """A sample's token ids, end of text included; `answer` is the index of the answer's first token, `weight` the
    sample's weight in the loss."""

    ids: list[int]
    answer: int
    weight: float


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """(rows, positions) each: ids, mask, weights of each token in the loss, and answers, the weights in reported losses
    (0 in prompts). `predicted` is the number of last positions that have a weight above 0 in some row."""

    ids: Tensor
    mask: Tensor
    weights: Tensor
    answers: Tensor
    predicted: int


def rows_of(model: LocalModel, samples: Sequence[Sample]) -> list[Row]:
    """Tokenised samples: prompt, answer and the end-of-text token.

    DataError for a sample longer than the model's context: truncated, its answer would belong to half a prompt.
    """
    tokenizer = model.tokenizer
    texts = [opened(model, sample.prompt) for sample in samples]
    rows = []
    # Where the tokenizer adds a start of its own is the same for all prompts of one model.
    whole = [text + sample.answer for (text, _), sample in zip(texts, samples, strict=True)]
    encoding = tokenizer(whole, add_special_tokens=texts[0][1], return_offsets_mapping=True)
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    for (text, _), sample, ids, offsets in zip(
        texts, samples, encoding["input_ids"], encoding["offset_mapping"], strict=True
    ):
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


def micro_batches(rows: Sequence[Row], config: TuneLM, *, prompts: bool = True) -> list[TokenBatch]:
    """The rows in batches of `config.micro_batch`, grouped by length. prompts: whether prompt tokens have weights."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    blocks = (ordered[low : low + config.micro_batch] for low in range(0, len(ordered), config.micro_batch))
    prompt_weight = config.prompt_weight if prompts else 0.0
    return [_batch(block, prompt_weight, alike=config.balance == "sample") for block in blocks]


def _batch(rows: Sequence[Row], prompt_weight: float, *, alike: bool) -> TokenBatch:
    width = max(len(row.ids) for row in rows)
    ids, mask = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(2))
    weights = torch.zeros(len(rows), width)
    answers = torch.zeros(len(rows), width)
    for at, row in enumerate(rows):
        start = width - len(row.ids)
        ids[at, start:] = torch.tensor(row.ids)
        mask[at, start:] = 1
        # The first token of a text has no prediction.
        weights[at, start + 1 : start + row.answer] = prompt_weight * row.weight
        answers[at, start + row.answer :] = 1 / (len(row.ids) - row.answer) if alike else 1.0
        weights[at, start + row.answer :] = row.weight * answers[at, start + row.answer :]
    used = int((weights > 0).any(0).nonzero()[0, 0])
    return TokenBatch(ids, mask, weights, answers, width - used)


@dataclass(frozen=True, slots=True)
class Loss:
    """Losses of a batch. loss: sum of -log p weighted by `TokenBatch.weights`; reported: the same weighted by
    `TokenBatch.answers`, without gradient; count: the sum of those weights."""

    loss: Tensor
    reported: float
    count: float


def loss_of(model: LocalModel, batch: TokenBatch, precision: Literal["float32", "bfloat16"] = "float32") -> Loss:
    """Losses of a batch from one forward pass."""
    device = model.device
    places = batch.mask.cumsum(1).sub(1).clamp(min=0)
    width = batch.ids.shape[1]
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        out = model.network(
            input_ids=batch.ids.to(device),
            attention_mask=batch.mask.to(device),
            position_ids=places.to(device),
            use_cache=False,
            # Indexed, because a slice of the hidden states is not contiguous: its product with the output weights
            # would copy those once per row.
            logits_to_keep=torch.arange(width - batch.predicted - 1, width - 1, device=device),
        )
    last = slice(-batch.predicted, None)
    target = batch.ids[:, last].to(device)
    logits = out.logits.float().flatten(0, 1)
    each = torch.nn.functional.cross_entropy(logits, target.flatten(), reduction="none").view_as(target)
    answers = batch.answers[:, last].to(device)
    loss = (each * batch.weights[:, last].to(device)).sum()
    return Loss(loss, float((each.detach() * answers).sum()), float(answers.sum()))
