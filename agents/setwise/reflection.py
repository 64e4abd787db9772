"""Reflection: a profile as claims with evidence, rewritten from misjudged sets, and items' semantics rewritten with it.

Two paths, as SRLF's abstract says (arXiv 2511.11370). That claims cite evidence, their importance and decay, and the
treatment of oscillating descriptions are our own; the decay by half-life is the recency of Park et al. 2023
("Generative Agents", section 4.1), here of the evidence instead of the last use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, create_model

from ..agent import Tools
from ..chat.handles import handles_for
from ..prompt_call import call_prompt
from .config import SetwiseSetup
from .judgement import NAME, RankedSet, claim_handles, item_text, misjudged, wrongly_above

# --- claims -----------------------------------------------------------------------------------------------------------


class Cited(NamedTuple):
    """One choice of the person's that a claim rests on."""

    item: int
    """Item code."""
    at: int
    """Step index; negative for the seed history, -1 its newest choice."""
    took: bool
    """Whether the item was taken; false: it was passed over for another one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of a profile with the choices it rests on; also what can be cited: a choice, or a claim."""

    text: str
    evidence: tuple[Cited, ...] = ()
    """Oldest first, no choice twice; empty only where evidence is switched off."""
    step: int = -1
    """Step at which it was last written or confirmed; -1: the first profile."""
    round: int = 0
    surprise: float = 0.0
    """Largest mismatch that led to its writing, in [0, 1]; 0 in the first profile."""

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
    """A claim that was not admitted."""

    text: str
    why: Literal["uncited", "unshown"]
    """uncited: it names no evidence; unshown: nothing of what it names had been shown."""
    named: tuple[str, ...]


class ClaimDraft(NamedTuple):
    """A claim as the model wrote it."""

    text: str
    evidence: tuple[str, ...]
    """Handles."""


def admitted(
    drafts: Iterable[ClaimDraft], citable: Mapping[str, Claim], *, evidence: bool = True, step: int = -1, round: int = 0
) -> tuple[tuple[Claim, ...], tuple[Dropped, ...]]:
    """The claims that rest on something shown, in the order written, and those dropped because they do not.

    citable: handle -> what it stands for: a choice, or an earlier claim, whose evidence is inherited. So a claim that
    repeats an older one stays as old as that. Handles that were not shown are taken off a claim that has others; equal
    texts become one. Without `evidence` every claim is admitted, dated `step` and `round`.
    """
    by_text: dict[str, Claim] = {}
    dropped: list[Dropped] = []
    for text, named in drafts:
        sources = [citable[handle] for handle in named if handle in citable]
        if evidence and not sources:
            dropped.append(Dropped(text, "unshown" if named else "uncited", tuple(named)))
            continue
        name = " ".join(text.casefold().split())
        if name in by_text:
            sources.append(by_text[name])
        text = by_text[name].text if name in by_text else " ".join(text.split())
        by_text[name] = _merged(text, sources) if sources else Claim(text, (), step, round)
    return tuple(by_text.values()), tuple(dropped)


def credited(claims: Sequence[Claim], places: Iterable[int], choice: Cited) -> tuple[Claim, ...]:
    """The claims, with `choice` added to the evidence of those at `places`: they predicted it."""
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
    strong = [claims[place] for place in order if claims[place].strength(now, half_life) >= below]
    return tuple(strong), tuple(claims[place] for place in order[len(strong) :])


def within(claims: Sequence[Claim], words: int) -> tuple[tuple[Claim, ...], tuple[Claim, ...]]:
    """The claims that fit into `words` words, strongest first as given, and those crowded out.

    The first is cut where it alone is longer than `words`; a later one has to fit whole.
    """
    fitting: list[Claim] = []
    out: list[Claim] = []
    room = words
    for claim in claims:
        length = len(claim.text.split())
        if not fitting and length > room:
            claim, length = replace(claim, text=" ".join(claim.text.split()[:room])), room
        if length <= room:
            fitting.append(claim)
            room -= length
        else:
            out.append(claim)
    return tuple(fitting), tuple(out)


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


# --- the two paths ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mistake:
    """A list on which the true item was not ranked first, and the wording it was judged with."""

    step: int
    round: int
    """Rounds judged before this reflection; the rewrite gets the next number."""
    candidates: Sequence[int]
    """Item codes."""
    positive: int
    """Position of the true item in `candidates`."""
    sets: Sequence[RankedSet]
    mismatch: float
    claims: tuple[Claim, ...]
    semantics: Mapping[int, str]
    facts: Mapping[int, str]

    @property
    def texts(self) -> list[str]:
        """(n_candidates,) the candidates as they were shown."""
        return [item_text(item, self.facts, self.semantics) for item in self.candidates]

    @property
    def above(self) -> list[int]:
        """Positions ranked above the true item."""
        return wrongly_above(self.sets, self.positive, len(self.candidates))

    @property
    def profile(self) -> dict[str, str]:
        """Handle -> claim."""
        return {h: claim.text for h, claim in zip(claim_handles(len(self.claims)), self.claims, strict=True)}


class ProfileRewrite(NamedTuple):
    """A rewritten profile; `dropped`: claims without evidence, `crowded`: claims without room."""

    claims: tuple[Claim, ...]
    dropped: tuple[Dropped, ...]
    crowded: tuple[Claim, ...]
    lesson: str


async def rewrite_profile(setup: SetwiseSetup, tools: Tools, mistake: Mistake) -> ProfileRewrite:
    """The user path: the misjudged sets and the true choice lead to new claims and a lesson.

    A claim may cite the items of those sets and the earlier claims; one that cites none of them is dropped. Where no
    claim is left, the profile stays as it was.
    """
    config, texts, positive = setup.config, mistake.texts, mistake.positive
    wrong = misjudged(mistake.sets, positive, len(texts))
    letters = handles_for(len(texts))
    claims = dict(zip(claim_handles(len(mistake.claims)), mistake.claims, strict=True))
    sets = [
        {
            "options": {letters[p]: texts[p] for p in one.ranking},
            "reason": one.reason,
            "claims": [list(claims)[place] for place in one.cited],
        }
        for one in wrong
    ]
    held = sorted({p for one in wrong for p in one.ranking})
    citable = dict(claims)
    for p in held:
        choice = Cited(mistake.candidates[p], mistake.step, p == positive)
        citable[letters[p]] = Claim("", (choice,), mistake.step, mistake.round + 1, mistake.mismatch)
    shared = {
        "claims": mistake.profile,
        "chosen": letters[positive],
        "words": config.profile_words,
        "evidence": config.evidence,
    }
    reply: Any = await call_prompt(
        tools,
        setup,
        "setwise/reflect_profile",
        reflection_reply(tuple(citable) if config.evidence else ()),
        "revise_profile",
        {**shared, "sets": sets},
        facts={
            **shared,
            "options": {letters[p]: texts[p] for p in held},
            "rejected": [letters[p] for p in mistake.above],
        },
        draw=mistake.round,
        agent=NAME,
    )
    rewritten, dropped = admitted(
        claim_drafts(reply), citable, evidence=config.evidence, step=mistake.step, round=mistake.round + 1
    )
    ordered, _ = faded(rewritten, mistake.step, config.half_life, 0.0)
    fitting, crowded = within(ordered, config.profile_words)
    return ProfileRewrite(fitting or mistake.claims, dropped, crowded, reply.lesson)


async def rewrite_items(
    setup: SetwiseSetup,
    tools: Tools,
    mistake: Mistake,
    versions: Mapping[int, Sequence[str]],
    settled: frozenset[int],
) -> tuple[dict[int, str], frozenset[int]]:
    """The item path: new semantics for the true item and every item ranked above it; and the items now settled.

    versions: item -> its accepted descriptions, oldest first. Items in `settled` are not rewritten any more.
    """
    positions = [mistake.positive, *mistake.above]
    names = handles_for(len(positions))
    items = {h: mistake.candidates[p] for h, p in zip(names, positions, strict=True)}
    words = setup.config.semantics_words
    values = {
        "claims": mistake.profile,
        "items": {
            h: {"facts": mistake.facts[item], "text": item_text(item, mistake.facts, mistake.semantics)}
            for h, item in items.items()
        },
        "chosen": names[0],
        "words": words,
    }
    reply = await call_prompt(
        tools,
        setup,
        "setwise/reflect_items",
        descriptions_reply(names),
        "revise_items",
        values,
        draw=mistake.round,
        agent=NAME,
    )
    rewritten = dict(mistake.semantics)
    for handle, item in items.items():
        if item in settled:
            continue
        text = first_words(getattr(reply, handle), words)
        final = settle(versions.get(item, ()), text) if setup.config.settle else None
        rewritten[item] = text if final is None else final
        settled = settled if final is None else settled | {item}
    return rewritten, settled


def first_words(text: str, count: int) -> str:
    """The first `count` words."""
    words = text.split()
    return text.strip() if len(words) <= count else " ".join(words[:count])


# --- oscillating descriptions -----------------------------------------------------------------------------------------

ALIKE = 0.8
"""Share of common words (Jaccard) from which two descriptions count as the same; our own value."""


def settle(versions: Sequence[str], text: str) -> str | None:
    """The text to keep for good where `text` repeats a description that was replaced before (A, B, A); None elsewhere.

    versions: those accepted so far, oldest first, the last one in force.
    """
    if len(versions) < 2 or alike(versions[-1], text) >= ALIKE:
        return None
    if not any(alike(before, text) >= ALIKE for before in versions[:-1]):
        return None
    return medoid([*versions, text])


def medoid(texts: Sequence[str]) -> str:
    """Of several texts the one that shares most words with all of them; of equals the earliest."""
    return max(texts, key=lambda text: round(sum(alike(text, other) for other in texts), 9))


def alike(a: str, b: str) -> float:
    """Common words over all words, in [0, 1]; 1 for two texts without words."""
    first, second = set(a.casefold().split()), set(b.casefold().split())
    return len(first & second) / len(first | second) if first or second else 1.0


# --- replies ----------------------------------------------------------------------------------------------------------
#
# Handles are enumerated in the schema. Claims are still parsed leniently: one that cites unknown handles is dropped
# and counted, and the rest of the reply stands.

_CLOSED = ConfigDict(extra="forbid", frozen=True)
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@lru_cache(maxsize=1024)
def profile_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply with `claims: list of {text, evidence}`, evidence being some of `names`; without names, `{text}`."""
    claims: Any = list[_claim(names)]  # type: ignore[misc]
    return create_model("Profile", __config__=_CLOSED, claims=(claims, ...))


@lru_cache(maxsize=1024)
def reflection_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A profile reply with `lesson` first: what was misjudged."""
    # The lesson comes first, so that the rewrite is generated after it and depends on it.
    fields: dict[str, Any] = {"lesson": (_Text, ...), "claims": (list[_claim(names)], ...)}  # type: ignore[misc]
    return create_model("Reflection", __config__=_CLOSED, **fields)


@lru_cache(maxsize=64)
def descriptions_reply(names: tuple[str, ...]) -> type[BaseModel]:
    """A reply that holds a description for each of these handles."""
    texts: dict[str, Any] = {name: (str, Field(min_length=1)) for name in names}
    return create_model("Descriptions", __config__=ConfigDict(extra="forbid"), **texts)


def claim_drafts(reply: Any) -> list[ClaimDraft]:
    """The claims of a profile or reflection reply, unchecked."""
    return [ClaimDraft(claim.text, tuple(getattr(claim, "evidence", ()))) for claim in reply.claims]


@lru_cache(maxsize=1024)
def _claim(names: tuple[str, ...]) -> Any:
    fields: dict[str, Any] = {"text": (_Text, Field(description="One statement."))}
    if names:
        fields["evidence"] = (list[_one_of(names)], Field(description="Handles it rests on."))  # type: ignore[misc]
    return create_model("Claim", __config__=_CLOSED, **fields)


def _one_of(names: tuple[str, ...]) -> Any:
    return Annotated[str, WithJsonSchema({"type": "string", "enum": list(names)})]
