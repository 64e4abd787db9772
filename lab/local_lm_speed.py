"""Local scores against reading without a cache: how much sooner they come, and how far they differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from recloop.agents.chat.likelihood import ScoringRequest
from recloop.agents.chat.local.encoding import opened
from recloop.agents.chat.local.model import LocalModel
from recloop.agents.chat.local.scoring import score


def timings(model: LocalModel, questions: Sequence[ScoringRequest]) -> dict[str, Any]:
    """CPU seconds of each way, how many times longer than `score` it takes, its largest difference in a token."""
    score(model, questions[:2])
    ours, seconds = timed(lambda: score(model, questions))
    measurements: dict[str, Any] = {
        "windows": len(questions),
        "continuations": sum(len(q.continuations) for q in questions),
    }
    measurements |= {
        "tokens_scored": sum(len(one.logprobs) for row in ours for one in row),
        "batched_seconds": round(seconds, 2),
    }
    ways = {"a_pass_a_continuation": whole_passes, "a_batch_a_window": batched_passes, "a_pass_a_token": token_passes}
    for name, way in ways.items():
        # A pass a token takes minutes: a tenth of the windows tells its time.
        some = questions[: max(1, len(questions) // 10)] if way is token_passes else questions
        theirs, seconds = timed(lambda way=way, some=some: [way(model, question) for question in some])
        measurements[f"{name}_seconds"] = round(seconds * len(questions) / len(some), 2)
        measurements[f"{name}_windows_measured"] = len(some)
        measurements[f"{name}_times"] = round(measurements[f"{name}_seconds"] / measurements["batched_seconds"], 1)
        measurements[f"{name}_max_difference"] = max(
            abs(a - b)
            for row, other in zip(ours, theirs, strict=False)
            for one, values in zip(row, other, strict=True)
            for a, b in zip(one.logprobs, values, strict=True)
        )
    return measurements


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def ids_of(model: LocalModel, question: ScoringRequest) -> list[tuple[list[int], int]]:
    """Each continuation's whole ids and how many of them are the beginning's."""
    text, special = opened(model, question.prompt)
    text += question.begun
    measurements = model.tokenizer(
        [text + continuation for continuation in question.continuations],
        add_special_tokens=special, return_offsets_mapping=True,
    )  # fmt: skip
    rows = zip(measurements["input_ids"], measurements["offset_mapping"], strict=True)
    return [(ids, next(at for at, (_, end) in enumerate(ends) if end > len(text))) for ids, ends in rows]


@torch.inference_mode()
def whole_passes(model: LocalModel, question: ScoringRequest) -> list[list[float]]:
    """One pass over beginning and continuation for each continuation, no cache."""
    logprob_rows = []
    for ids, start in ids_of(model, question):
        logits = model.network(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        logprobs = torch.log_softmax(logits[start - 1 : -1], -1)
        logprob_rows.append(logprobs[torch.arange(len(ids) - start), torch.tensor(ids[start:])].tolist())
    return logprob_rows


@torch.inference_mode()
def batched_passes(model: LocalModel, question: ScoringRequest) -> list[list[float]]:
    """One padded batch a window: all continuations with their beginnings, no cache."""
    rows = ids_of(model, question)
    width = max(len(ids) for ids, _ in rows)
    ids, mask = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(2))
    for at, (row, _) in enumerate(rows):
        ids[at, : len(row)], mask[at, : len(row)] = torch.tensor(row), 1
    logits = model.network(input_ids=ids, attention_mask=mask, use_cache=False).logits
    logprob_rows = []
    for at, (row, start) in enumerate(rows):
        logprobs = torch.log_softmax(logits[at, start - 1 : len(row) - 1], -1)
        logprob_rows.append(logprobs[torch.arange(len(row) - start), torch.tensor(row[start:])].tolist())
    return logprob_rows


@torch.inference_mode()
def token_passes(model: LocalModel, question: ScoringRequest) -> list[list[float]]:
    """One pass for each token of each continuation, no cache."""
    logprob_rows = []
    for ids, start in ids_of(model, question):
        values = []
        for at in range(start, len(ids)):
            logits = model.network(input_ids=torch.tensor([ids[:at]]), use_cache=False).logits[0, -1]
            values.append(float(torch.log_softmax(logits, -1)[ids[at]]))
        logprob_rows.append(values)
    return logprob_rows
