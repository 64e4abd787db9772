"""Bodies as real servers send them, for the loopback server: chat completions, Anthropic messages, logprobs."""

from __future__ import annotations

import json
import math
from typing import Any


def schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    form = body.get("response_format") or {}
    texts = [message["content"] for message in body["messages"] if isinstance(message["content"], str)]
    if form.get("type") == "json_schema":
        schema: dict[str, Any] = form["json_schema"]["schema"]
        return schema
    # In words: the schema is the last line of a message.
    last = next((text for text in reversed(texts) if "JSON schema:\n" in text), "")
    if "JSON schema:\n" not in last:
        return None
    schema, _ = json.JSONDecoder().raw_decode(last.rpartition("JSON schema:\n")[2])
    return schema


def chat_completion(body: dict[str, Any], text: str, finish: str) -> dict[str, Any]:
    prompt = sum(tokens_in(message["content"]) for message in body["messages"])
    written = tokens_in(text)
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    if body.get("logprobs"):
        pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
        choice["logprobs"] = {"content": [{"token": piece, "logprob": -0.1 * len(piece)} for piece in pieces]}
        if body.get("top_logprobs"):
            for token in choice["logprobs"]["content"]:
                token["top_logprobs"] = _alternatives(token["token"], token["logprob"])
    return {
        "id": "loopback",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
    }


def anthropic_message(body: dict[str, Any], text: str, finish: str) -> dict[str, Any]:
    return {
        "id": "loopback",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn" if finish == "stop" else "max_tokens",
        "usage": {"input_tokens": tokens_in(json.dumps(body["messages"])), "output_tokens": tokens_in(text)},
    }


def _alternatives(piece: str, logprob: float) -> list[dict[str, Any]]:
    """The piece itself and, in place of the first letters of a yes or a no, those of the other, with what is left."""
    alternatives = [{"token": piece, "logprob": logprob}]
    word = piece.strip(' ":,{}[]')
    for answer, other in (("yes", "no"), ("no", "yes")):
        if word and answer.startswith(word):
            left = math.log(max(1e-9, 1 - math.exp(logprob)))
            alternatives.append({"token": piece.replace(word, other[: len(word)]), "logprob": left})
    return alternatives


def renamed(value: Any) -> Any:
    """The value with its first list entry's item turned into a handle that was never shown."""
    for part in value.values() if isinstance(value, dict) else ():
        if isinstance(part, list) and part and isinstance(part[0], dict) and "item" in part[0]:
            part[0]["item"] = "ZZZ"
    return value


def tokens_in(text: str) -> int:
    return max(1, len(text) // 4)
