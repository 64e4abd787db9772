"""The forms of the set-wise agent's replies: claims with their evidence, an assessment, descriptions.

Handles are enumerated in the schema, so a server that constrains decoding cannot name another. Claims are read
leniently all the same: one that cites what was never shown is dropped and counted by the validate step (`claims.py`),
and the rest of the reply stands. Items to be ranked are strict: a ranking of other items is no ranking.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, create_model

from ..chat.handles import ranking_reply
from .claims import Written

_CLOSED = ConfigDict(extra="forbid", frozen=True)
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@lru_cache(maxsize=1024)
def profile_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `claims: list of {text, evidence}`, evidence being some of `names`; without names, `{text}`."""
    claims: Any = list[_claim(names)]  # type: ignore[misc]
    return create_model("Profile", __config__=_CLOSED, claims=(claims, ...))


@lru_cache(maxsize=1024)
def reflection_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A profile reply that says first what was misjudged, in `lesson`."""
    # The lesson comes first: a model that has named its mistake rewrites by it.
    fields: dict[str, Any] = {"lesson": (_Text, ...), "claims": (list[_claim(names)], ...)}  # type: ignore[misc]
    return create_model("Reflection", __config__=_CLOSED, **fields)


@lru_cache(maxsize=4096)
def assessment_reply(names: tuple[str, ...], claims: tuple[str, ...]) -> type[BaseModel]:
    """A ranking of the items `names` with its reason and the `claims` that decided it; a plain one without claims."""
    if not claims:
        return ranking_reply(names)
    plain = ranking_reply(names).model_fields
    fields: dict[str, Any] = {
        "reason": (plain["reason"].annotation, plain["reason"]),
        "claims": (list[_one_of(claims)], Field(description="Handles of the claims that decided.")),  # type: ignore[misc]
        "ranking": (plain["ranking"].annotation, plain["ranking"]),
    }
    return create_model("Assessment", __config__=_CLOSED, **fields)


@lru_cache(maxsize=64)
def descriptions_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply that holds a description for each of these handles."""
    texts: dict[str, Any] = {name: (str, Field(min_length=1)) for name in names}
    return create_model("Descriptions", __config__=ConfigDict(extra="forbid"), **texts)


def written(reply: Any) -> list[Written]:
    """The claims of a profile or a reflection, as they were written."""
    return [Written(claim.text, tuple(getattr(claim, "evidence", ()))) for claim in reply.claims]


@lru_cache(maxsize=1024)
def _claim(names: tuple[str, ...]) -> Any:
    fields: dict[str, Any] = {"text": (_Text, Field(description="One statement."))}
    if names:
        fields["evidence"] = (list[_one_of(names)], Field(description="Handles it rests on."))  # type: ignore[misc]
    return create_model("Claim", __config__=_CLOSED, **fields)


def _one_of(names: tuple[str, ...]) -> Any:
    return Annotated[str, WithJsonSchema({"type": "string", "enum": list(names)})]
