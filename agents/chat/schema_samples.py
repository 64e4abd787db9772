"""Random JSON values that fit a JSON schema: what the loopback server answers with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

WORDS = (
    "quiet bright early winter river glass paper story engine garden letter season harbour signal copper window market "
    "lantern valley thread silver morning"
).split()


def fitting(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """A value that `schema` accepts. Lists of objects that name each of n handles once are drawn as a permutation."""
    return _value(schema, schema.get("$defs", {}), rng)


def sentence(rng: random.Random, words: int = 8) -> str:
    """Some words, as a sentence."""
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize() + "."


def _value(schema: Mapping[str, Any], defs: Mapping[str, Any], rng: random.Random) -> Any:
    schema = _resolved(schema, defs)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "anyOf" in schema:
        return _value(rng.choice(schema["anyOf"]), defs, rng)
    match schema.get("type"):
        case "object":
            return {name: _value(part, defs, rng) for name, part in schema.get("properties", {}).items()}
        case "array":
            return _array(schema, defs, rng)
        case "number":
            return round(rng.uniform(schema.get("minimum", 0.0), schema.get("maximum", 1.0)), 3)
        case "integer":
            return rng.randint(schema.get("minimum", 0), schema.get("maximum", 10))
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
    return sentence(rng)[: schema.get("maxLength", 200)]


def _array(schema: Mapping[str, Any], defs: Mapping[str, Any], rng: random.Random) -> list[Any]:
    least = schema.get("minItems", 0)
    most = schema.get("maxItems", max(least, 3))
    size = rng.randint(least, most)
    entry = _resolved(schema.get("items", {}), defs)
    values = [_value(entry, defs, rng) for _ in range(size)]
    if "enum" in entry and len(entry["enum"]) >= size:
        return rng.sample(entry["enum"], size)
    for name, part in entry.get("properties", {}).items():
        handles = _resolved(part, defs).get("enum", ())
        # As many entries as names: a ranking, or a judgement of each.
        if size > 1 and len(handles) == size == most:
            for value, handle in zip(values, rng.sample(handles, size), strict=True):
                value[name] = handle
            break
    return values


def _resolved(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    return schema
