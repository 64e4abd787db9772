"""The reply schema: every handle once with a score in [0, 1], not all scores equal."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, create_model, model_validator

from ..chat.handles import ranking_reply


def _told_apart(reply: Any) -> Any:
    if len(reply.ranking) > 1 and len({entry.score for entry in reply.ranking}) == 1:
        raise ValueError("every item has the same score; score them so that better ones stand above worse ones")
    return reply


@lru_cache(maxsize=1024)
def scores_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A ranking with scores, as `ranking_reply`, that refuses equal scores of all items, which carry no order."""
    told_apart: Any = model_validator(mode="after")(_told_apart)
    return create_model("Scores", __base__=ranking_reply(names), __validators__={"told_apart": told_apart})
