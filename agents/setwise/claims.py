"""A profile as claims, each with the choices it rests on: what is admitted, what is strong, what fades.

That a claim must cite its evidence, its importance and its fading are our own design; the decay by half-life is the
recency of Park et al. 2023 ("Generative Agents", section 4.1), here of what a claim rests on instead of its last use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple


class Cited(NamedTuple):
    """One choice of the person's that a claim rests on."""

    item: int
    """Item code."""
    at: int
    """The person's clock in choices: 0 is the first step walked, what lies before it counts -1, -2, ... backwards."""
    took: bool
    """Whether the item was taken; false: it was passed over for another one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence about a person, and why it may be said. Also what can be cited: a single choice, or a claim."""

    text: str
    evidence: tuple[Cited, ...] = ()
    """Oldest first, no choice twice; empty only where evidence is switched off."""
    step: int = -1
    """When it was last written or found right; -1: in the first profile."""
    round: int = 0
    surprise: float = 0.0
    """The largest mismatch that made somebody write it, in [0, 1]; 0 in the first profile."""

    @property
    def importance(self) -> float:
        """1 - (1 - surprise) * 0.5 ** n, of n choices cited: many choices or one great surprise make it important."""
        return 1 - (1 - self.surprise) * 0.5 ** max(1, len(self.evidence))

    @property
    def latest(self) -> int:
        """The time of the newest choice it rests on."""
        return max((cited.at for cited in self.evidence), default=self.step)

    def strength(self, now: int, half_life: float) -> float:
        """Importance, halved with each `half_life` choices since the newest one it rests on; in [0, 1]."""
        return float(self.importance * 0.5 ** (max(0, now - self.latest) / half_life))


class Dropped(NamedTuple):
    """A claim that was written and not admitted."""

    text: str
    why: Literal["uncited", "unshown"]
    """uncited: it names no evidence; unshown: nothing of what it names had been shown."""
    named: tuple[str, ...]


class Written(NamedTuple):
    """A claim as a model wrote it."""

    text: str
    evidence: tuple[str, ...]
    """Handles."""


def admitted(
    written: Iterable[Written], shown: Mapping[str, Claim], *, evidence: bool = True, step: int = -1, round: int = 0
) -> tuple[tuple[Claim, ...], tuple[Dropped, ...]]:
    """The claims that rest on something shown, in the order written, and those dropped because they do not.

    shown: handle -> what it stands for: a choice, or an earlier claim, whose evidence is inherited. So a claim that
    repeats an older one stays as old as that. Handles that were not shown are taken off a claim that has others; equal
    texts become one. Without `evidence` every claim is admitted, dated `step` and `round`.
    """
    found: dict[str, Claim] = {}
    dropped: list[Dropped] = []
    for text, named in written:
        sources = [shown[handle] for handle in named if handle in shown]
        if evidence and not sources:
            dropped.append(Dropped(text, "unshown" if named else "uncited", tuple(named)))
            continue
        name = " ".join(text.casefold().split())
        if name in found:
            sources.append(found[name])
        text = found[name].text if name in found else " ".join(text.split())
        found[name] = _merged(text, sources) if sources else Claim(text, (), step, round)
    return tuple(found.values()), tuple(dropped)


def credited(claims: Sequence[Claim], places: Iterable[int], choice: Cited) -> tuple[Claim, ...]:
    """The claims, those at `places` resting on one choice more: they told it before it was known."""
    right = set(places)
    return tuple(
        replace(claim, evidence=_united([claim.evidence, (choice,)]), step=max(claim.step, choice.at))
        if place in right
        else claim
        for place, claim in enumerate(claims)
    )


def faded(
    claims: Sequence[Claim], now: int, half_life: float, below: float
) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """The claims strongest first, and those forgotten because their strength is `below`; 0 forgets none."""
    order = sorted(range(len(claims)), key=lambda place: (-claims[place].strength(now, half_life), place))
    kept = [claims[place] for place in order if claims[place].strength(now, half_life) >= below]
    return tuple(kept), tuple(claims[place] for place in order[len(kept) :])


def within(claims: Sequence[Claim], words: int) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """The claims that there is room for, strongest first as given, and those crowded out.

    The first is cut where it alone is longer than `words`; a later one has to fit whole.
    """
    kept: list[Claim] = []
    out: list[Claim] = []
    room = words
    for claim in claims:
        length = len(claim.text.split())
        if not kept and length > room:
            claim, length = replace(claim, text=" ".join(claim.text.split()[:room])), room
        if length <= room:
            kept.append(claim)
            room -= length
        else:
            out.append(claim)
    return tuple(kept), tuple(out)


def profile_text(claims: Iterable[Claim]) -> str:
    """The profile as one text: its claims as sentences."""
    return " ".join(claim.text if claim.text.endswith((".", "!", "?")) else f"{claim.text}." for claim in claims)


def as_json(claim: Claim) -> dict[str, Any]:
    """A claim as a record keeps it; `evidence` as [item, at, took]."""
    return {
        "text": claim.text,
        "evidence": [list(cited) for cited in claim.evidence],
        "step": claim.step,
        "round": claim.round,
        "importance": round(claim.importance, 4),
    }


def _merged(text: str, sources: Sequence[Claim]) -> Claim:
    latest = max(sources, key=lambda source: (source.step, source.round))
    return Claim(
        text,
        _united([source.evidence for source in sources]),
        latest.step,
        latest.round,
        max(source.surprise for source in sources),
    )


def _united(parts: Iterable[tuple[Cited, ...]]) -> tuple[Cited, ...]:
    return tuple(sorted({cited for part in parts for cited in part}, key=lambda c: (c.at, c.item, c.took)))
