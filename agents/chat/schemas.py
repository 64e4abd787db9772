"""A pydantic class as the JSON schema that strict servers accept: closed objects, every field required, no defaults."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel

# Servers reject these in strict mode, or spend prompt tokens on them for nothing.
_DROPPED = ("title", "default", "discriminator")


@lru_cache(maxsize=4096)
def strict_schema(reply: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `reply` for OpenAI's strict mode. Shared between callers: do not change it."""
    schema: dict[str, Any] = _strict(reply.model_json_schema())
    return schema


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(child) for child in node]
    if not isinstance(node, dict):
        return node
    strict: dict[str, Any] = {}
    for name, value in node.items():
        if name in ("properties", "$defs"):
            # The keys of these are the author's names, so one called "title" or "default" must stay.
            strict[name] = {key: _strict(child) for key, child in value.items()}
        elif name == "const":
            strict["enum"] = [value]
        elif name == "oneOf":
            strict["anyOf"] = _strict(value)
        elif name == "enum":
            strict["enum"] = list(value)
        elif name not in _DROPPED:
            strict[name] = _strict(value)
    if "$ref" in strict:
        # A reference with neighbours (a described field of a nested class) is refused: the reference says it all.
        return {"$ref": strict["$ref"]}
    if "properties" in strict:
        strict["additionalProperties"] = False
        strict["required"] = list(strict["properties"])
    return strict
