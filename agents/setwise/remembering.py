"""What a walk leaves in memory: claims with their evidence, profile versions, lessons, choices, semantics."""

from __future__ import annotations

from collections.abc import Sequence

from ..memory.memory import Kind, Memo
from .claims import Claim, profile_text
from .partition import wrongly_above
from .state import Setup, State

FORESEEN = 0.3
"""Importance of a choice that the agent had right, beside at least .5 of one it had wrong; our own value."""


def first_memos(state: State, claims: Sequence[Claim]) -> list[Memo]:
    """The first profile and its claims, at the time before the first step."""
    owner = f"user:{state['user']}"
    whole = Memo(owner, "profile", profile_text(claims), 0, -1, 0.5, owner)
    return [whole, *_claims(owner, claims, 0, -1)]


def foreseen(setup: Setup, state: State, loss: float) -> list[Memo]:
    """A choice that was foreseen is remembered too, lightly: no reflection will speak of it."""
    if loss > setup.config.tau:
        return []
    step, owner = state["steps"][state["step"]], f"user:{state['user']}"
    item = step["candidates"][step["positive"]]
    text = f"chose {state['facts'][item]}"
    return [Memo(owner, "evidence", text, 0, state["step"], FORESEEN, owner, evidence=(f"item:{item}",))]


def rewritten(state: State) -> list[Memo]:
    """What an accepted rewrite leaves: the choice, the profile's version, its new claims, the lesson, the semantics.

    Importance is surprise: 0.5 + 0.5 * the mismatch that made somebody reflect. A claim has its own.
    """
    owner = f"user:{state['user']}"
    step, now, round_ = state["steps"][state["step"]], state["step"], state["round"]
    chosen = step["candidates"][step["positive"]]
    above = [step["candidates"][p] for p in wrongly_above(state["judged"], step["positive"], len(step["candidates"]))]
    rejected = "; ".join(state["facts"][item] for item in above[:3])
    weight = round(0.5 + 0.5 * state["best"], 6)
    cited = (f"item:{chosen}", *(f"-item:{item}" for item in above))

    def memo(of: str, kind: Kind, text: str) -> Memo:
        return Memo(of, kind, text, round_, now, weight, owner, evidence=cited)

    found = [memo(owner, "evidence", f"chose {state['facts'][chosen]} rather than {rejected}")]
    if state["draft_claims"] != state["claims"]:
        before = {claim.text: claim.evidence for claim in state["claims"]}
        found.append(memo(owner, "profile", profile_text(state["draft_claims"])))
        new = [claim for claim in state["draft_claims"] if before.get(claim.text) != claim.evidence]
        found += _claims(owner, new, round_, now)
    if state["lesson"]:
        found.append(memo(owner, "reflection", state["lesson"]))
    for item, text in state["draft_semantics"].items():
        if state["semantics"].get(item) != text:
            found.append(memo(f"item:{item}", "semantics", text))
    return found


def _claims(owner: str, claims: Sequence[Claim], round_: int, step: int) -> list[Memo]:
    return [
        Memo(
            owner,
            "claim",
            claim.text,
            round_,
            step,
            round(claim.importance, 6),
            owner,
            part,
            tuple(f"{'' if cited.took else '-'}item:{cited.item}" for cited in claim.evidence),
        )
        for part, claim in enumerate(claims)
    ]
