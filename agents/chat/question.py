"""The identity of a request: its canonical parts, their digest (the cache key), and where two requests differ.

Endpoint (with every setting of `llm` that a reply depends on: `build.asked_of`), model, messages, sampling, the reply's
schema, the draw and a continuation are parts; timeouts, retries, keys and the calling agent are not. So a changed
transport setting finds every old reply again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from .schemas import strict_schema
from .types import Reply, Request, Sampling, Usage

Parts = Mapping[str, Any]
"""endpoint, model, messages, sampling, schema, draw, logprobs, and continuation where there is one: JSON values."""

PARTS = ("endpoint", "model", "messages", "sampling", "schema", "draw", "logprobs", "continuation")
WHO = ("endpoint", "model")
"""The parts that identify the model; the others are the request itself."""


def parts_of(request: Request, *, endpoint: str, model: str) -> dict[str, Any]:
    """The canonical parts of `request` to `model` at `endpoint`."""
    parts: dict[str, Any] = {
        "endpoint": endpoint,
        "model": model,
        "messages": [[message.role, message.content] for message in request.messages],
        "sampling": _sampling(request.sampling),
        "schema": strict_schema(request.schema) if request.schema is not None else None,
        "draw": request.draw,
        "logprobs": request.logprobs,
    }
    if request.continuation is not None:
        parts["continuation"] = asdict(request.continuation)
    return parts


def _sampling(sampling: Sampling) -> dict[str, Any]:
    parts = asdict(sampling)
    if sampling.temperature == 0:
        # Greedy decoding ignores top_p, so that all its values are one request.
        parts["top_p"] = 1.0
    return parts


def canonical(value: Any) -> str:
    """JSON in one spelling: sorted keys, no blanks, no escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def key_of(request: Request, *, endpoint: str, model: str) -> bytes:
    """SHA-256 (32 bytes) of the canonical parts; equal to `digest(parts_of(...))`, but a schema is spelled out once."""
    schema = _spelled(request.schema) if request.schema is not None else "null"
    messages = canonical([[message.role, message.content] for message in request.messages])
    draw, logprobs = canonical(request.draw), canonical(request.logprobs)
    scoring = ""
    if request.continuation is not None:
        scoring = f'"continuation":{canonical(asdict(request.continuation))},'
    return hashlib.sha256(
        (
            f'{{{scoring}"draw":{draw},"endpoint":{canonical(endpoint)},"logprobs":{logprobs},"messages":{messages},'
            f'"model":{canonical(model)},"sampling":{_spelled_sampling(request.sampling)},"schema":{schema}}}'
        ).encode(errors="surrogatepass")
    ).digest()


def digest(parts: Parts) -> bytes:
    """SHA-256 (32 bytes) of parts as they stand in a file."""
    return hashlib.sha256(canonical(parts).encode(errors="surrogatepass")).digest()


def differences(wanted: Parts, stored: Parts) -> list[str]:
    """Where two requests differ, in words; empty where they are the same."""
    differing = []
    for part in PARTS:
        ours: Any = wanted.get(part)
        theirs: Any = stored.get(part)
        if ours == theirs:
            continue
        if part == "messages":
            differing.extend(_message_differences(ours or [], theirs or []))
        elif part == "sampling":
            differing.extend(
                f"sampling.{name}: {ours.get(name)!r} asked, {theirs.get(name)!r} kept"
                for name in sorted({*ours, *theirs})
                if ours.get(name) != theirs.get(name)
                # Ignored at temperature 0, where it is spelled as 1.
                and not (name == "top_p" and 0 in (ours.get("temperature"), theirs.get("temperature")))
            )
        elif part == "schema":
            differing.append("schema: the reply's form differs (its fields, handles or descriptions)")
        else:
            differing.append(f"{part}: {ours!r} asked, {theirs!r} kept")
    return differing


def nearest(wanted: Parts, stored: Iterable[Parts]) -> list[str]:
    """Where `asked` differs from the question in `kept` (at least one) that it shares most with."""

    def distance(other: Parts) -> tuple[int, int]:
        return len(differences(wanted, other)), -_shared(wanted["messages"], other["messages"])

    return differences(wanted, min(stored, key=distance))


def as_json(reply: Reply) -> dict[str, Any]:
    """A reply as it is kept in a cache or a replay file."""
    stored: dict[str, Any] = {
        "text": reply.text,
        "model": reply.model,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "cost": reply.cost,
        "seconds": round(reply.seconds, 4),
        "turns": reply.turns,
        "repairs": reply.repairs,
        "unmatched": reply.unmatched,
        "fenced": reply.fenced,
    }
    if reply.logprobs is not None:
        stored["logprobs"] = reply.logprobs
    if reply.alternatives is not None:
        stored["alternatives"] = reply.alternatives
    return stored


def from_json(stored: Mapping[str, Any]) -> Reply:
    """The reply that `as_json` wrote, marked as cached."""
    logprobs, alternatives = stored.get("logprobs"), stored.get("alternatives")
    return Reply(
        text=stored["text"],
        model=stored["model"],
        finish_reason=stored["finish_reason"],
        usage=Usage(stored["prompt_tokens"], stored["completion_tokens"]),
        cost=stored["cost"],
        seconds=stored["seconds"],
        turns=stored["turns"],
        repairs=stored["repairs"],
        unmatched=stored.get("unmatched", 0),
        fenced=stored["fenced"],
        cached=True,
        logprobs=None if logprobs is None else _pairs(logprobs),
        alternatives=None if alternatives is None else tuple(_pairs(others) for others in alternatives),
    )


def _pairs(stored: Iterable[Any]) -> tuple[tuple[str, float], ...]:
    return tuple((token, value) for token, value in stored)


def _message_differences(wanted: list[list[str]], stored: list[list[str]]) -> list[str]:
    if len(wanted) != len(stored):
        return [f"messages: {len(wanted)} asked, {len(stored)} kept"]
    differing = []
    for number, ((role, ours), (other_role, theirs)) in enumerate(zip(wanted, stored, strict=True)):
        if role != other_role:
            differing.append(f"messages[{number}]: role {role} asked, {other_role} kept")
        if ours != theirs:
            at = _alike(ours, theirs)
            near = slice(max(0, at - 15), at + 25)
            differing.append(
                f"messages[{number}] ({role}), character {at}: {ours[near]!r} asked, {theirs[near]!r} kept"
            )
    return differing


def _shared(wanted: list[list[str]], stored: list[list[str]]) -> int:
    """Characters from the start of each message that two conversations have in common."""
    return sum(_alike(ours[1], theirs[1]) for ours, theirs in zip(wanted, stored, strict=False))


def _alike(ours: str, theirs: str) -> int:
    """How many characters two texts share from their start."""
    shortest = min(len(ours), len(theirs))
    return next((at for at in range(shortest) if ours[at] != theirs[at]), shortest)


@lru_cache(maxsize=4096)
def _spelled(schema: type[BaseModel]) -> str:
    return canonical(strict_schema(schema))


@lru_cache(maxsize=256)
def _spelled_sampling(sampling: Sampling) -> str:
    return canonical(_sampling(sampling))
