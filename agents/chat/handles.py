"""Handles A, B, C ... for the items of a prompt; the reply's schema allows only these, so nothing is matched by title.

Reply classes are cached per number of items, so that a million requests share a few dozen schemas.
"""

from __future__ import annotations

from functools import lru_cache
from string import ascii_uppercase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

_CLOSED = ConfigDict(extra="forbid", frozen=True)
_YesNo: Any = Literal["yes", "no"]
Share = Annotated[float, Field(ge=0, le=1)]


@lru_cache(maxsize=1024)
def handles_for(count: int) -> tuple[str, ...]:
    """The first `count` handles: A, B, ..., Z, AA, AB, ... in the order of spreadsheet columns."""
    return tuple(_handle(index) for index in range(count))


@lru_cache(maxsize=1024)
def ranking_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str` and `ranking: list of {item, score}`, each of `names` exactly once, best first.

    `item` is one of `names`, `score` lies in [0, 1]. An item that is missing, repeated or not shown is refused.
    """
    entry = create_model("RankedItem", __config__=_CLOSED, item=(_one_of(names), ...), score=(Share, ...))
    return _reply_over("Ranking", "ranking", entry, names, "Every item exactly once, best first.")


@lru_cache(maxsize=1024)
def judgement_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str` and `judgements: list of {item, answer, confidence}`, each of `names` exactly once.

    `answer` is "yes" or "no", `confidence` lies in [0, 1].
    """
    entry = create_model(
        "Judgement",
        __config__=_CLOSED,
        item=(_one_of(names), ...),
        answer=(_YesNo, ...),
        confidence=(Share, ...),
    )
    return _reply_over("Judgements", "judgements", entry, names, "Every item exactly once.")


@lru_cache(maxsize=1024)
def doubts_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str` and `doubts: list of {item, reason, doubt}`, each of `names` exactly once.

    `doubt` lies in [0, 1]; an item's own reason comes before it.
    """
    entry = create_model("Doubt", __config__=_CLOSED, item=(_one_of(names), ...), reason=(str, ...), doubt=(Share, ...))
    return _reply_over("Doubts", "doubts", entry, names, "Every item exactly once.")


@lru_cache(maxsize=1024)
def fits_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str` and `fits: list of {item, rating}`, each of `names` exactly once, ratings 1 to 10."""
    rating: Any = Annotated[int, Field(ge=1, le=10)]
    entry = create_model("Fit", __config__=_CLOSED, item=(_one_of(names), ...), rating=(rating, ...))
    return _reply_over("Fits", "fits", entry, names, "Every item exactly once.")


@lru_cache(maxsize=1024)
def substitute_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str`, `item`: one of `names` or null for none of them, and `fit` in [0, 1]."""
    fields: dict[str, Any] = {
        "reason": (str, Field(description="Why, in a sentence.")),
        "item": (_one_of(names) | None, Field(description="null where none would fit.")),
        "fit": (Share, ...),
    }
    return create_model("Substitute", __config__=_CLOSED, **fields)


def _reply_over(
    title: str, field: str, entry: type[BaseModel], names: tuple[str, ...], description: str
) -> type[BaseModel]:
    def each_once(entries: list[Any]) -> list[Any]:
        given = [entry.item for entry in entries]
        repeated = sorted({name for name in given if given.count(name) > 1})
        missing = [name for name in names if name not in given]
        if repeated:
            raise ValueError(f"items more than once: {', '.join(repeated)}")
        if missing:
            raise ValueError(f"items left out: {', '.join(missing)}")
        return entries

    entries = Annotated[
        list[entry],  # type: ignore[valid-type]
        Field(min_length=len(names), max_length=len(names), description=description),
        AfterValidator(each_once),
    ]
    # The reason comes first: a model that has to argue before it ranks, ranks by its argument.
    fields: dict[str, Any] = {
        "reason": (str, Field(description="Why, in one or two sentences.")),
        field: (entries, ...),
    }
    return create_model(title, __config__=_CLOSED, **fields)


def _one_of(names: tuple[str, ...]) -> Any:
    if not names:
        raise ValueError("a reply over no items cannot be asked for")
    return Literal[names]


def _handle(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, len(ascii_uppercase))
        letters = ascii_uppercase[letter] + letters
    return letters
