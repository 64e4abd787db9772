"""`replay`: recorded replies and nothing else, so that a study runs again identically without network or cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import ConfigError, DataError, ReplayMiss
from .question import WHO, digest, nearest, parts_of
from .replies import read_replay
from .types import Chat, Reply, Request

_EXPLAINED_BY = 1_000
"""Questions kept in memory to say where one that is missing differs; all replies are."""


def replay_chat(path: Path, *, model: str | None = None) -> Chat:
    """A Chat over a replay file (`recloop cache export`). Who was asked does not matter, only what was asked.

    `model` chooses among the models of a file that holds several; ConfigError where it must be named and is not. Raises
    DataError for an unreadable file, and ReplayMiss, saying where the nearest entry differs, for a question not in it.
    """
    entries: dict[bytes, Reply] = {}
    questions: list[dict[str, Any]] = []
    models: set[str] = set()
    for parts, reply in read_replay(path):
        if model is not None and parts.get("model") != model:
            continue
        models.add(str(parts.get("model")))
        entries.setdefault(digest(_what(parts)), reply)
        if len(questions) < _EXPLAINED_BY:
            questions.append(_what(parts))
    if len(models) > 1:
        raise ConfigError(f"replay file {path} holds replies of {', '.join(sorted(models))}: name one in llm.model")
    if not entries:
        raise DataError(f"replay file {path} holds no replies{f' of model {model!r}' if model else ''}")

    async def chat(request: Request) -> Reply:
        parts = parts_of(request, endpoint="", model="")
        reply = entries.get(digest(_what(parts)))
        if reply is None:
            near = "; ".join(nearest(_what(parts), questions))
            raise ReplayMiss(f"{path} holds no reply to this question; the nearest one differs in {near}")
        return reply

    return chat


def _what(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if name not in WHO}
