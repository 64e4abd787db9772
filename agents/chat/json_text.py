"""The one JSON object in a reply, whatever stands around it: thoughts, a fence, a sentence, special tokens, a BOM.

Nothing is mended and nothing chosen: two different objects, an object inside a list, a broken one and one that names a
key twice are not taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPECIAL = re.compile(r"(<\|[^|<>\s]{1,40}\|>|</?s>|<(end_of_turn|eos|eot)>|\ufeff|\s)+")
"""Special tokens of chat templates that a server failed to strip, byte order marks and blanks."""
_THOUGHTS = re.compile(r"</(think|thinking|thought|reasoning|reflection)>", re.I)
_OPEN_THOUGHT = re.compile(r"\s*<(think|thinking|thought|reasoning|reflection)>", re.I)
_FENCE = re.compile(r"(`{3,}|~{3,})[^\n`{]*\n?(.*?)(?:\n?[ \t]*\1|\Z)", re.S)
_OBJECT_BEGINS = re.compile(r'\{\s*"|\[\s*[\[{"]')
_DECODER = json.JSONDecoder()


class RepeatedKey(ValueError):
    """An object names a key twice, so that one of two values would be dropped."""


def object_text(text: str) -> str:
    """The text of the one JSON object in `text`; `text` itself where there is none, or more than one."""
    bare = _without_special(text)
    if _is_object(bare):
        return bare
    ends = list(_THOUGHTS.finditer(bare))
    answer = _without_special(bare[ends[-1].end() :]) if ends else bare
    if _OPEN_THOUGHT.match(answer):
        return text
    if _is_object(answer):
        return answer
    fenced = [_without_special(match[2]) for match in _FENCE.finditer(answer)]
    whole = [block for block in fenced if _is_object(block)]
    if whole:
        return whole[0] if len(_distinct(whole)) == 1 else text
    within = _objects(answer)
    return within[0] if len(_distinct(within)) == 1 else text


def check_keys(text: str) -> None:
    """Raises RepeatedKey where an object in the JSON `text` names a key twice; text that is no JSON passes."""
    try:
        json.loads(text, object_pairs_hook=_each_once)
    except RepeatedKey:
        raise
    except (ValueError, RecursionError):
        return


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise RepeatedKey(f"the key {name!r} stands twice in one object")
        values[name] = value
    return values


def _without_special(text: str) -> str:
    head = _SPECIAL.match(text)
    text = text[head.end() :] if head else text
    while (tail := re.search(r"(<\|[^|<>\s]{1,40}\|>|</s>|<(end_of_turn|eos|eot)>|\ufeff|\s)$", text)) is not None:
        text = text[: tail.start()]
    return text


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return _DECODER.raw_decode(text)[1] == len(text)
    except (ValueError, RecursionError):
        return False


def _objects(text: str) -> list[str]:
    """The objects that stand in prose, outermost only; none where anything in it looks like broken JSON."""
    objects = []
    at = 0
    while (at := _next_bracket(text, at)) < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            if _OBJECT_BEGINS.match(text, at):
                return []
            at += 1
            continue
        if isinstance(value, dict):
            if value:
                objects.append(text[at:end])
        elif any(isinstance(each, dict) for each in value):
            return []
        at = end
    return objects


def _next_bracket(text: str, start: int) -> int:
    places = [at for at in (text.find("{", start), text.find("[", start)) if at >= 0]
    return min(places, default=len(text))


def _distinct(objects: list[str]) -> set[str]:
    return {json.dumps(json.loads(each), sort_keys=True) for each in objects}
