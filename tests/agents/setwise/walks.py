"""A person with simple tastes stands in for the model: every question is answered by a rule that the test chooses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recloop.agents.agent import Tally, Tools
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Request, Sampling
from recloop.agents.memory import ListMemory, Memo, tfidf_svd
from recloop.agents.setwise import Setwise
from recloop.agents.setwise.config import SetwiseSetup
from recloop.agents.setwise.machine import machine
from recloop.agents.setwise.state import SetwiseState

Liking = Callable[[str, str], float]
"""(profile, item text) -> how much the item is liked; ties fall to the item shown first."""
EMBED = tfidf_svd(["right thing", "wrong thing", "lesson first", "lesson second", "chose rather than"], size=8)


def right(profile: str, text: str) -> float:
    """Knows the answer."""
    return float(text.startswith("right"))


def wrong(profile: str, text: str) -> float:
    """Puts the true item last, whatever it is told."""
    return -float(text.startswith("right"))


@dataclass
class Person:
    """Answers by `liking`; its rewrites are `profiles` and `semantics`, the last of each again and again."""

    liking: Liking = right
    first: str = "first profile"
    profiles: Sequence[str] = ("second profile",)
    semantics: Sequence[str] = ("rewritten",)
    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> str:
        assert request.facts is not None
        self.asked.append(request)
        shown = request.facts.values
        return json.dumps(getattr(self, request.facts.kind)(shown))

    def assess(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        profile = " ".join(shown["claims"].values())
        liked = {handle: self.liking(profile, text) for handle, text in shown["options"].items()}
        order = sorted(liked, key=lambda handle: -liked[handle])
        ranking = [{"item": handle, "score": round(1 - place / 10, 1)} for place, handle in enumerate(order)]
        if len(order) == 1:  # nothing to compare with: the score says all
            ranking[0]["score"] = 0.5 + liked[order[0]] / 4
        deciding = {"claims": list(shown["claims"])[:1]} if shown["evidence"] and shown["claims"] else {}
        return {"reason": f"{order[0]} it is", **deciding, "ranking": ranking}

    def describe(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        return {"claims": [claim(self.first, shown, *list(shown["liked"])[-1:])]}

    def revise_profile(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        number = self.count("revise_profile")
        text = self.profiles[min(number, len(self.profiles)) - 1]
        return {"lesson": f"lesson {number}", "claims": [claim(text, shown, shown["chosen"])]}

    def revise_items(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        text = self.semantics[min(self.count("revise_items"), len(self.semantics)) - 1]
        return {handle: f"{text} {handle}" for handle in shown["items"]}

    def count(self, kind: str) -> int:
        return Counter(r.facts.kind for r in self.asked if r.facts is not None)[kind]

    @property
    def counts(self) -> dict[str, int]:
        kinds = ("describe", "assess", "revise_profile", "revise_items")
        return {kind: self.count(kind) for kind in kinds if self.count(kind)}


def claim(text: str, shown: Mapping[str, Any], *handles: str) -> dict[str, Any]:
    """A claim in a reply, with its evidence where that was asked for."""
    return {"text": text, "evidence": list(handles)} if shown["evidence"] else {"text": text}


class Diary(ListMemory):
    """A memory that writes down what was asked of it."""

    def __init__(self) -> None:
        super().__init__(EMBED)
        self.remembered: list[Memo] = []
        self.recalls: list[tuple[str, int, tuple[Memo, ...]]] = []

    def remember(self, memos: Sequence[Memo]) -> None:
        self.remembered += memos
        super().remember(memos)

    def recall(self, owner: str, about: str, k: int, *, now: int, **how: Any) -> list[Memo]:
        found = super().recall(owner, about, k, now=now, **how)
        self.recalls.append((owner, now, tuple(found)))
        return found


def start(steps: int = 1, candidates: int = 4, user: int = 7) -> SetwiseState:
    """A walk of `steps`; the true item of each is called "right ..." and stands second among "wrong ..." ones."""
    walks, facts = [], {900: "a seed thing"}
    for step in range(steps):
        items = [100 * (step + 1) + place for place in range(candidates)]
        facts |= {item: f"wrong thing {item}" for item in items}
        facts[items[1]] = f"right thing {items[1]}"
        walks.append({"positive": 1, "candidates": items})
    return {"user": user, "user_id": user, "catalogue": "", "seed_history": [900], "steps": walks, "facts": facts}  # type: ignore[typeddict-item]


async def walk(
    person: Person,
    config: Setwise | None = None,
    *,
    state: SetwiseState | None = None,
    memory: ListMemory | None = None,
    temperature: float = 0.0,
    tally: Tally | None = None,
) -> dict[str, Any]:
    """The payload of one walk, four candidates in sets of two unless told otherwise."""
    config = config or of()
    setup = SetwiseSetup(config, Sampling(temperature))
    tools = Tools(scripted_chat(person), memory or Diary(), tally or Tally())
    final = await machine(setup).ainvoke(dict(state or start(candidates=config.candidates)), context=tools)
    payload: dict[str, Any] = final["payload"]
    return payload


def of(**settings: Any) -> Setwise:
    """Four candidates in four overlapping pairs, no held-back lists, with these settings changed."""
    shape = {"held_back": 0, "candidates": 4, "set_size": 2, "stride": 1, "deal": "same", "merge": "rank"}
    return Setwise(**{**shape, "rounds": 2, "tau": 0.0, "notes": 3, "half_life": 5.0, "forget_below": 0.0, **settings})
