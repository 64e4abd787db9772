"""Sets of candidates put before the person of a profile, one call a set; and how an item is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import prompts
from ..agent import Tools
from ..chat.handles import handles_for, ranking_reply
from ..chat.structured import ask
from ..chat.types import Facts
from ..prompt_call import gather_all
from .partition import Judged, order_of
from .replies import assessment_reply
from .state import NAME, Setup


async def judge(
    setup: Setup,
    tools: Tools,
    claims: Sequence[str],
    notes: Sequence[str],
    shown: Sequence[str],
    sets: Sequence[tuple[int, ...]],
) -> list[Judged]:
    """The candidates `shown`, set by set, judged by the person of these claims; one call a set, side by side."""
    profile = dict(zip(claim_handles(len(claims)), claims, strict=True))
    places = {handle: place for place, handle in enumerate(profile)}
    cites = setup.config.evidence

    async def one(positions: tuple[int, ...]) -> Judged:
        names = handles_for(len(positions))
        options = {h: shown[p] for h, p in zip(names, positions, strict=True)}
        reply: Any = await ask(
            tools,
            prompts.load("setwise/assess", setup.wording).render(
                claims=profile, notes=notes, options=options, evidence=cites
            ),
            assessment_reply(names, tuple(profile)) if cites else ranking_reply(names),
            facts=Facts("assess", {"claims": profile, "notes": notes, "options": options, "evidence": cites}),
            sampling=setup.sampling,
            agent=NAME,
        )
        ranked = [(entry.item, entry.score) for entry in reply.ranking]
        cited = sorted({places[handle] for handle in getattr(reply, "claims", ()) if handle in places})
        return order_of(dict(zip(names, positions, strict=True)), ranked, reply.reason, cited)

    return await gather_all(one(positions) for positions in sets)


def claim_handles(count: int) -> tuple[str, ...]:
    """P1, P2, ...: how the claims of a profile are named in prompts, strongest first."""
    return tuple(f"P{number}" for number in range(1, count + 1))


def described(item: int, facts: Mapping[int, str], semantics: Mapping[int, str]) -> str:
    """An item as it is shown: its facts, and what was written about it since."""
    return f"{facts[item]} | {semantics[item]}" if item in semantics else facts[item]


def capped(text: str, words: int) -> str:
    """The first `words` words; a model that writes more is cut, as the prompt announced."""
    found = text.split()
    return text.strip() if len(found) <= words else " ".join(found[:words])
