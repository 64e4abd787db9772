"""How the nodes of an agent ask: a prompt by its name about what it shows, and many questions side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from .. import prompts
from .chat.structured import ask
from .chat.types import Facts, Sampling

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .agent import Tools

R = TypeVar("R", bound=BaseModel)
T = TypeVar("T")


class Asks(Protocol):
    """What every agent's setup says of its questions."""

    @property
    def sampling(self) -> Sampling: ...

    @property
    def wording(self) -> Path | None: ...


async def ask_about(
    tools: Tools, setup: Asks, prompt: str, reply: type[R], kind: str, shown: dict[str, Any], *, agent: str
) -> R:
    """The answer to the prompt of that name, of which `shown` fills the places.

    The same goes along as facts of that `kind`, for those who answer without reading. Raises what `ask` raises.
    """
    return await ask(
        tools,
        prompts.load(prompt, setup.wording).render(**shown),
        reply,
        facts=Facts(kind, shown),
        sampling=setup.sampling,
        agent=agent,
    )


async def side_by_side(asked: Iterable[Awaitable[T]]) -> list[T]:
    """What all of them give, in order.

    All end before the first one's error is raised: a record's counts must not depend on which call failed first.
    """
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
