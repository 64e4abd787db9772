"""The acceptance test's second part: earlier lists judged again, in another order, before a rewrite is kept.

The list that made somebody reflect has been seen by whoever rewrote; earlier ones have not been shown to this rewrite.
A small replay buffer, our own design.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime

from ..agent import Tools
from .claims import Claim
from .judging import described, judge
from .partition import Judged, mismatch
from .state import Past, Replayed, Setup, State


async def replay(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The last `replay` steps judged with the draft and, where that is not known yet, with what is accepted."""
    past = [one for one in state["past"] if one["step"] < state["step"]][-setup.config.replay :]
    if not past:
        return {"replayed": None}
    known = dict(state["known"])
    for one in past:
        if one["step"] not in known:
            known[one["step"]] = await _again(setup, state, runtime, one, state["claims"], state["semantics"])
    after = [await _again(setup, state, runtime, one, state["draft_claims"], state["draft_semantics"]) for one in past]
    steps = [one["step"] for one in past]
    before = [round(known[step], 6) for step in steps]
    return {
        "known": known,
        "replayed": {"steps": steps, "before": before, "after": [round(loss, 6) for loss in after]},
    }


def rose(replayed: Replayed | Mapping[str, Any] | None) -> bool:
    """Whether the mean mismatch of the lists judged again is higher with the draft; false where there were none."""
    return replayed is not None and sum(replayed["after"]) > sum(replayed["before"]) + 1e-9


def remembered(state: State, judged: list[Judged]) -> Past:
    """This step as `replay` will need it: the sets that hold the item chosen, turned round."""
    step = state["steps"][state["step"]]
    # Reversed: who stood first stands last, so that what was right by its place alone does not stay right.
    sets = [one.shown[::-1] for one in judged if step["positive"] in one.ranking]
    return {"step": state["step"], "sets": sets, "notes": state["notes"]}


async def _again(
    setup: Setup,
    state: State,
    runtime: Runtime[Tools],
    past: Past,
    claims: tuple[Claim, ...],
    semantics: dict[int, str],
) -> float:
    step = state["steps"][past["step"]]
    shown = [described(item, state["facts"], semantics) for item in step["candidates"]]
    texts = [claim.text for claim in claims]
    judged = await judge(setup, runtime.context, texts, past["notes"], shown, past["sets"])
    return again_mismatch(judged, step["positive"])


def again_mismatch(judged: list[Judged], positive: int) -> float:
    """The mismatch over the sets that were judged again; point-wise, one less the score, for there is no rank."""
    if all(len(one.ranking) > 1 for one in judged):
        return mismatch(judged, positive, 1 + max(p for one in judged for p in one.ranking))
    return 1 - sum(score for one in judged for score in one.scores) / len(judged)
