"""A scoring request as token ids: the prefix that all continuations share, and the rest of each.

Beginning and continuation are tokenised as one text, as the model would have read them: a title by itself may fall into
other tokens than after a quote or a space. So the tokens of the beginning can differ near its end from one continuation
to the next; only what they share is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....errors import DataError
from ..likelihood import ScoringRequest
from ..types import Message
from .model import LocalModel

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """`shared + rests[i]` are the ids of the beginning and continuation i."""

    shared: Ids
    """At least one token."""
    rests: tuple[Ids, ...]
    skipped: tuple[int, ...]
    """Tokens at the head of each rest that still belong to the beginning: fed, not counted."""


def encoded(model: LocalModel, request: ScoringRequest) -> Encoded:
    """The request's ids. DataError where nothing stands before a continuation or a text is longer than the model."""
    beginning, special = opened(model, request.prompt)
    beginning += request.begun
    if not request.continuations:
        return Encoded((), (), ())
    texts = [beginning + continuation for continuation in request.continuations]
    encoding = model.tokenizer(texts, add_special_tokens=special, return_offsets_mapping=True)
    rows = [_whole(ids, ends, len(beginning)) for ids, ends in zip(encoding["input_ids"], _ends(encoding), strict=True)]
    least = min(inside for _, inside in rows)
    common = shared_length([ids for ids, _ in rows], least)
    if common == 0:
        rows, common = _with_a_start(model, rows), 1
    longest = max(len(ids) for ids, _ in rows)
    if longest > model.length:
        raise DataError(
            f"a prompt and continuation has {longest} tokens, {model.name} takes {model.length}: shorten the prompt, "
            f"which begins with {beginning[:60]!r}"
        )
    return Encoded(
        tuple(rows[0][0][:common]),
        tuple(tuple(ids[common:]) for ids, _ in rows),
        tuple(inside - common for _, inside in rows),
    )


def opened(model: LocalModel, prompt: str | tuple[Message, ...]) -> tuple[str, bool]:
    """The prompt as the text that the model's answer goes on from, and whether the tokenizer adds its own start to it.

    Messages go through the tokenizer's chat template. A model that has none is shown every message's text as it stands,
    parted by an empty line, and a last line "Answer:", after which the answer begins on a line of its own.
    """
    if isinstance(prompt, str):
        return prompt, True
    if model.tokenizer.chat_template is None:
        return "\n\n".join(message.content for message in prompt) + "\n\nAnswer:\n", True
    messages = [{"role": message.role, "content": message.content} for message in prompt]
    text = model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(text), False


def shared_length(rows: Sequence[Sequence[int]], most: int) -> int:
    """How many ids all rows begin with, at most `most`."""
    for at in range(most):
        if any(row[at] != rows[0][at] for row in rows):
            return at
    return most


def _ends(encoding: Any) -> list[list[int]]:
    """Of each token the place in the text after its last character; 0 for tokens that the tokenizer adds."""
    return [[end for _, end in offsets] for offsets in encoding["offset_mapping"]]


def _whole(ids: list[int], ends: list[int], beginning: int) -> tuple[list[int], int]:
    """The ids without an added end of text, and how many of them lie within the beginning."""
    while ends and ends[-1] == 0 and any(ends):
        ids, ends = ids[:-1], ends[:-1]
    # Bytes of one character may be several tokens with the same end; what comes first past the border counts.
    inside = next((at for at, end in enumerate(ends) if end > beginning), len(ids))
    return ids, inside


def _with_a_start(model: LocalModel, rows: list[tuple[list[int], int]]) -> list[tuple[list[int], int]]:
    tokenizer = model.tokenizer
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise DataError(
            f"nothing stands before the continuations, and {model.name} has no token for a text's start; "
            "begin the prompt with something"
        )
    return [([start, *ids], inside + 1) for ids, inside in rows]
