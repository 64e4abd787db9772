"""Reply schemas of the generator: picks from a slate, titles in free text, a favourite and a least favourite."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from ..chat.handles import Share

_CLOSED = ConfigDict(extra="forbid", frozen=True)


@lru_cache(maxsize=1024)
def picks_reply(names: tuple[str, ...], most: int) -> type[BaseModel]:
    """A reply with `reason: str` and `picks: list of {item, score}`: at most so many of `names`, each once."""

    def each_once(entries: list[Any]) -> list[Any]:
        given = [entry.item for entry in entries]
        repeated = sorted({name for name in given if given.count(name) > 1})
        if repeated:
            raise ValueError(f"items more than once: {', '.join(repeated)}")
        return entries

    one_of: Any = Literal[names]
    entry = create_model("Pick", __config__=_CLOSED, item=(one_of, ...), score=(Share, ...))
    entries = Annotated[
        list[entry],
        Field(max_length=most, description="The likeliest first; fewer, or none, where fewer fit."),
        AfterValidator(each_once),
    ]
    fields: dict[str, Any] = {
        "reason": (str, Field(description="Why, in one or two sentences.")),
        "picks": (entries, ...),
    }
    return create_model("Picks", __config__=_CLOSED, **fields)


class NamedTitle(BaseModel):
    """One item in the model's own words."""

    model_config = _CLOSED
    title: str = Field(min_length=1, max_length=300)
    score: Share


@lru_cache(maxsize=64)
def titles_reply(most: int) -> type[BaseModel]:
    """A reply with `reason: str` and `titles: list of {title, score}`, at most so many."""
    entries = Annotated[list[NamedTitle], Field(max_length=most, description="The likeliest first.")]
    fields: dict[str, Any] = {
        "reason": (str, Field(description="Why, in one or two sentences.")),
        "titles": (entries, ...),
    }
    return create_model("Titles", __config__=_CLOSED, **fields)


class _Extremes(BaseModel):
    model_config = _CLOSED

    @model_validator(mode="after")
    def _two(self) -> _Extremes:
        if getattr(self, "favourite") == getattr(self, "least"):  # noqa: B009
            raise ValueError("favourite and least are the same item; name two")
        return self


@lru_cache(maxsize=1024)
def extremes_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `reason: str`, `favourite` and `least`: two different ones of `names`."""
    one_of: Any = Literal[names]
    fields: dict[str, Any] = {
        "reason": (str, Field(description="Why, in one or two sentences.")),
        "favourite": (one_of, ...),
        "least": (one_of, ...),
    }
    return create_model("Extremes", __base__=_Extremes, **fields)
