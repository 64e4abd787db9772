"""What a walk carries from node to node, and what its record holds: trace, memos, payload, and counts over records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any, TypedDict

import pandas as pd

from ..memory.memory import Kind, Memo
from .config import SetwiseSetup
from .judgement import NAME, RankedSet, logistic_mismatch, merge, noop_acceptance, wrongly_above
from .reflection import Claim, Dropped, as_json, profile_text

RECALLED: tuple[Kind, ...] = ("reflection", "evidence")
"""Memos that become notes; claims stand in the profile anyway."""
CONFIRMED = 0.3
"""Importance of a choice that was predicted, beside at least .5 of one that was not; our own value."""
COUNTS = (
    "claims",
    "uncited",
    "unshown",
    "crowded_out",
    "forgotten",
    "rewrites",
    "kept",
    "rolled_back",
    "rolled_back_by_test",
    "rolled_back_by_replay",
    "tested",
    "test_lists",
    "test_ties",
    "settled",
)

# --- state ------------------------------------------------------------------------------------------------------------


class WalkStep(TypedDict, total=False):
    """One choice of the user in the train side: the true item among others. Only `held_back` may be missing."""

    positive: int
    """Its position in `candidates`."""
    candidates: list[int]
    """Item codes, shuffled."""
    held_back: list[int]
    """Codes of further items that the user never took; the acceptance test makes its lists of them."""


class PastStep(TypedDict):
    """A finished step, as `replay` needs it: the sets that held the true item."""

    step: int
    sets: list[tuple[int, ...]]
    """Positions, in reversed order."""
    notes: list[str]


class Replay(TypedDict):
    """Mismatches of earlier steps, judged again; the three lists are parallel."""

    steps: list[int]
    before: list[float]
    """With the accepted wording."""
    after: list[float]
    """With the rewrite."""


class HeldBackTest(TypedDict):
    """Mismatches of the held-back lists with the accepted wording and with the rewrite, and the decision."""

    before: list[float]
    after: list[float]
    passed: bool


class SetwiseState(TypedDict, total=False):
    """The state of one walk. `claims` and `semantics` are accepted; drafts are under test."""

    user: int
    """User code: random streams are named by it."""
    user_id: int | str
    catalogue: str
    """Digest of the item ids that the codes stand for."""
    seed_history: list[int]
    steps: list[WalkStep]
    facts: dict[int, str]
    """Item code -> its facts as text: title, categories, description."""
    first_claims: tuple[Claim, ...]
    first_dropped: tuple[Dropped, ...]
    first_crowded: tuple[Claim, ...]
    claims: tuple[Claim, ...]
    """The profile, strongest first."""
    draft_claims: tuple[Claim, ...]
    dropped: tuple[Dropped, ...]
    """Of the draft: claims without evidence."""
    crowded: tuple[Claim, ...]
    """Of the draft: claims without room."""
    forgotten: list[Claim]
    """In this step and all before."""
    semantics: dict[int, str]
    """Only items whose description was rewritten."""
    draft_semantics: dict[int, str]
    versions: dict[int, tuple[str, ...]]
    """Every accepted description of an item, oldest first."""
    settled: frozenset[int]
    """Items whose description oscillated; it is not rewritten any more."""
    draft_settled: frozenset[int]
    lesson: str
    step: int
    round: int
    notes: list[str]
    draft_sets: list[RankedSet]
    """The rankings with the drafts."""
    accepted_sets: list[RankedSet]
    """The rankings with the accepted wording."""
    best: float
    """Mismatch of the accepted wording at this step."""
    accepted: bool
    past: list[PastStep]
    known: dict[int, float]
    """Step -> mismatch of its sets judged again with the accepted wording."""
    tested: HeldBackTest | None
    replayed: Replay | None
    memos: list[Memo]
    """Every memo of this walk."""
    trace: list[dict[str, Any]]
    payload: dict[str, Any]


# --- trace ------------------------------------------------------------------------------------------------------------


def trace_of_step(state: SetwiseState, step: int, **entries: Any) -> list[dict[str, Any]]:
    """The trace with one more step, without rounds."""
    walked = state["steps"][step]
    candidates = {"positive": walked["positive"], "candidates": walked["candidates"]}
    return [*state["trace"], {**candidates, **entries, "rounds": []}]


def trace_of_round(
    setup: SetwiseSetup, state: SetwiseState, loss: float, accepted: bool, credited: list[int]
) -> list[dict[str, Any]]:
    """The trace with one more round in its last step, and what was rewritten for it."""
    step, sets = state["trace"][-1], state["draft_sets"]
    merged = merge(sets, len(step["candidates"]), setup.config.merge)
    entry: dict[str, Any] = {
        "mismatch": round(loss, 6),
        "logistic": round(logistic_mismatch(merged, step["positive"]), 6),
        "kept": accepted,
        "order": list(merged.order),
        "scores": [round(score, 6) for score in merged.scores],
        "sets": [
            {
                "shown": list(one.shown_order),
                "ranking": list(one.ranking),
                "scores": list(one.scores),
                "reason": one.reason,
                "claims": list(one.cited),
            }
            for one in sets
        ],
    }
    if state["round"]:
        before = state["semantics"]
        changed = state["draft_claims"] != state["claims"]
        entry["claims"] = [as_json(claim) for claim in state["draft_claims"]] if changed else None
        entry["lesson"] = state["lesson"]
        entry["dropped"] = [dropped._asdict() for dropped in state["dropped"]]
        entry["crowded"] = [claim.text for claim in state["crowded"]]
        entry["semantics"] = {str(i): t for i, t in state["draft_semantics"].items() if before.get(i) != t}
        entry["settled"] = sorted(state["draft_settled"] - state["settled"])
        entry["tested"] = state["tested"]
        entry["replayed"] = state["replayed"]
    else:
        entry["credited"] = credited
    return [*state["trace"][:-1], {**step, "rounds": [*step["rounds"], entry]}]


def payload_of(setup: SetwiseSetup, state: SetwiseState) -> dict[str, Any]:
    """The record's payload."""
    config = setup.config
    return {
        "user": state["user"],
        "user_id": state["user_id"],
        "catalogue": state["catalogue"],
        "acceptance": {"wins": config.wins, "lists": config.held_back if config.acceptance else 0},
        "first_profile": profile_text(state["first_claims"]),
        "first_claims": [as_json(claim) for claim in state["first_claims"]],
        "first_dropped": [dropped._asdict() for dropped in state["first_dropped"]],
        "first_crowded": [claim.text for claim in state["first_crowded"]],
        "seed_history": list(state["seed_history"]),
        "profile": profile_text(state["claims"]),
        "claims": [as_json(claim) for claim in state["claims"]],
        "forgotten": [as_json(claim) for claim in state["forgotten"]],
        "semantics": {str(item): text for item, text in sorted(state["semantics"].items())},
        "settled": sorted(state["settled"]),
        "memos": [
            {**asdict(memo), "evidence": list(memo.evidence)} for memo in state["memos"] if memo.kind in RECALLED
        ],
        "steps": state["trace"],
    }


# --- memos ------------------------------------------------------------------------------------------------------------


def first_memos(state: SetwiseState, claims: Sequence[Claim]) -> list[Memo]:
    """The first profile and its claims, dated before the first step."""
    owner = f"user:{state['user']}"
    whole = Memo(owner, "profile", profile_text(claims), 0, -1, 0.5, owner)
    return [whole, *_claim_memos(owner, claims, 0, -1)]


def confirmed_memos(setup: SetwiseSetup, state: SetwiseState, loss: float) -> list[Memo]:
    """A correct prediction, stored with low importance, because no reflection will mention it; else nothing."""
    if loss > setup.config.tau:
        return []
    step, owner = state["steps"][state["step"]], f"user:{state['user']}"
    item = step["candidates"][step["positive"]]
    text = f"chose {state['facts'][item]}"
    return [Memo(owner, "evidence", text, 0, state["step"], CONFIRMED, owner, evidence=(f"item:{item}",))]


def rewrite_memos(state: SetwiseState) -> list[Memo]:
    """An accepted rewrite: the choice, the profile version, its new claims, the lesson, the semantics.

    Importance is surprise: 0.5 + 0.5 * the mismatch that led to the reflection. A claim has its own.
    """
    owner = f"user:{state['user']}"
    step, now, round_ = state["steps"][state["step"]], state["step"], state["round"]
    chosen = step["candidates"][step["positive"]]
    above = [
        step["candidates"][p] for p in wrongly_above(state["accepted_sets"], step["positive"], len(step["candidates"]))
    ]
    rejected = "; ".join(state["facts"][item] for item in above[:3])
    weight = round(0.5 + 0.5 * state["best"], 6)
    cited = (f"item:{chosen}", *(f"-item:{item}" for item in above))

    def memo(of: str, kind: Kind, text: str) -> Memo:
        return Memo(of, kind, text, round_, now, weight, owner, evidence=cited)

    memos = [memo(owner, "evidence", f"chose {state['facts'][chosen]} rather than {rejected}")]
    if state["draft_claims"] != state["claims"]:
        before = {claim.text: claim.evidence for claim in state["claims"]}
        memos.append(memo(owner, "profile", profile_text(state["draft_claims"])))
        new = [claim for claim in state["draft_claims"] if before.get(claim.text) != claim.evidence]
        memos += _claim_memos(owner, new, round_, now)
    if state["lesson"]:
        memos.append(memo(owner, "reflection", state["lesson"]))
    for item, text in state["draft_semantics"].items():
        if state["semantics"].get(item) != text:
            memos.append(memo(f"item:{item}", "semantics", text))
    return memos


def _claim_memos(owner: str, claims: Sequence[Claim], round_: int, step: int) -> list[Memo]:
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


# --- counts over records ----------------------------------------------------------------------------------------------


def counts_of(records: pd.DataFrame) -> dict[str, float]:
    """`walk_counts` summed over the usable records of the set-wise agent, and `noop_share`; empty without records."""
    own = records[records["status"].eq("ok") & records["agent"].eq(NAME)]
    total: Counter[str] = Counter()
    acceptance: Mapping[str, int] = {}
    for text in own["payload"]:
        payload = json.loads(text)
        total.update(walk_counts(payload))
        acceptance = payload.get("acceptance", {})
    if not len(own):
        return {}
    counts: dict[str, float] = {name: total[name] for name in COUNTS}
    share = noop_share(total, acceptance.get("wins", 1), acceptance.get("lists", 0))
    return counts if isnan(share) else {**counts, "noop_share": round(share, 4)}


def walk_counts(payload: Mapping[str, Any]) -> dict[str, int]:
    """Events of one walk, by the names in `COUNTS`.

    `claims`: in first profiles and rewrites; `uncited` and `unshown` of them were dropped for want of evidence,
    `crowded_out` had no room. `rewrites` were `kept`, `rolled_back` (the mismatch of their own list rose),
    `rolled_back_by_test` (held-back lists) or `rolled_back_by_replay` (earlier lists). `tested` rewrites were judged on
    `test_lists` held-back lists, `test_ties` of which decided nothing.
    """
    count: Counter[str] = Counter()
    rounds = [entry for step in payload["steps"] for entry in step["rounds"][1:]]
    dropped = [*payload["first_dropped"], *(one for entry in rounds for one in entry["dropped"])]
    count["crowded_out"] = len(payload["first_crowded"])
    count["claims"] = len(payload["first_claims"]) + count["crowded_out"] + len(dropped)
    for one in dropped:
        count[one["why"]] += 1
    for entry in rounds:
        count["claims"] += len(entry["claims"] or ()) + len(entry["crowded"])
        count["crowded_out"] += len(entry["crowded"])
        count["settled"] += len(entry["settled"])
        count["rewrites"] += 1
        count[outcome_of(entry)] += 1
        tested = entry.get("tested")
        if tested is not None:
            count["tested"] += 1
            count["test_lists"] += len(tested["before"])
            count["test_ties"] += sum(a == b for a, b in zip(tested["before"], tested["after"], strict=True))
    count["forgotten"] = len(payload["forgotten"])
    return {name: count[name] for name in COUNTS}


def outcome_of(entry: Mapping[str, Any]) -> str:
    """What became of a round's rewrite: kept, or which part of the acceptance test rolled it back."""
    if entry["kept"]:
        return "kept"
    tested = entry.get("tested")
    if tested is not None and not tested["passed"]:
        return "rolled_back_by_test"
    return "rolled_back_by_replay" if mismatch_rose(entry["replayed"]) else "rolled_back"


def noop_share(counts: Mapping[str, float], wins: int, lists: int) -> float:
    """Share of the rewrites that would have been kept if no rewrite had any effect; NaN without rewrites or test.

    The share that was tested, times `noop_acceptance` at the observed share of ties.
    """
    if not counts["rewrites"] or not lists:
        return float("nan")
    ties = counts["test_ties"] / counts["test_lists"] if counts["test_lists"] else 0.0
    return counts["tested"] / counts["rewrites"] * noop_acceptance(ties, wins, lists)


def mismatch_rose(replayed: Replay | Mapping[str, Any] | None) -> bool:
    """Whether the mean mismatch of earlier lists is higher with the rewrite; false where none was judged again."""
    return replayed is not None and sum(replayed["after"]) > sum(replayed["before"]) + 1e-9
