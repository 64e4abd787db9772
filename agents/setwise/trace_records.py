"""What a record keeps of a walk: every step, round by round, and counts of what was written, dropped and forgotten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from .claims import as_json, profile_text
from .partition import logistic_mismatch, merge
from .replaying import rose
from .state import NAME, RECALLED, Setup, State

COUNTS = (
    "claims",
    "uncited",
    "unshown",
    "crowded_out",
    "forgotten",
    "rewrites",
    "kept",
    "rolled_back",
    "rolled_back_by_replay",
    "settled",
)


def begun(state: State, step: int, **told: Any) -> list[dict[str, Any]]:
    """The trace with a step more, nothing of which was judged yet."""
    return [*state["trace"], {**state["steps"][step], **told, "rounds": []}]


def judged(setup: Setup, state: State, loss: float, kept: bool, credited: list[int]) -> list[dict[str, Any]]:
    """The trace with a round more in its last step; what was rewritten for it is told with it."""
    step, fresh = state["trace"][-1], state["fresh"]
    merged = merge(fresh, len(step["candidates"]), setup.config.merge)
    round_: dict[str, Any] = {
        "mismatch": round(loss, 6),
        "logistic": round(logistic_mismatch(merged, step["positive"]), 6),
        "kept": kept,
        "order": list(merged.order),
        "scores": [round(score, 6) for score in merged.scores],
        "sets": [
            {
                "shown": list(one.shown),
                "ranking": list(one.ranking),
                "scores": list(one.scores),
                "reason": one.reason,
                "claims": list(one.cited),
            }
            for one in fresh
        ],
    }
    if state["round"]:
        before = state["semantics"]
        changed = state["draft_claims"] != state["claims"]
        round_["claims"] = [as_json(claim) for claim in state["draft_claims"]] if changed else None
        round_["lesson"] = state["lesson"]
        round_["dropped"] = [dropped._asdict() for dropped in state["dropped"]]
        round_["crowded"] = [claim.text for claim in state["crowded"]]
        round_["semantics"] = {str(i): t for i, t in state["draft_semantics"].items() if before.get(i) != t}
        round_["settled"] = sorted(state["draft_settled"] - state["settled"])
        round_["replayed"] = state["replayed"]
    else:
        round_["credited"] = credited
    return [*state["trace"][:-1], {**step, "rounds": [*step["rounds"], round_]}]


def concluded(state: State) -> dict[str, Any]:
    """The record's payload."""
    return {
        "user": state["user"],
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


def counts_of(records: pd.DataFrame) -> dict[str, int]:
    """What `counted` says of each usable record of the set-wise agent, summed; empty where there is none."""
    own = records[records["status"].eq("ok") & records["agent"].eq(NAME)]
    found: Counter[str] = Counter()
    for payload in own["payload"]:
        found.update(counted(json.loads(payload)))
    return {name: found[name] for name in COUNTS} if len(own) else {}


def counted(payload: Mapping[str, Any]) -> dict[str, int]:
    """How often what happened in one walk, by the names in `COUNTS`.

    `claims` were written, in first profiles and rewrites; `uncited` and `unshown` of them were dropped for want of
    evidence, `crowded_out` had no room. `rewrites` came to `kept`, `rolled_back` (the list's own mismatch rose) or
    `rolled_back_by_replay` (that of earlier lists did).
    """
    found: Counter[str] = Counter()
    rounds = [round_ for step in payload["steps"] for round_ in step["rounds"][1:]]
    dropped = [*payload["first_dropped"], *(one for round_ in rounds for one in round_["dropped"])]
    found["crowded_out"] = len(payload["first_crowded"])
    found["claims"] = len(payload["first_claims"]) + found["crowded_out"] + len(dropped)
    for one in dropped:
        found[one["why"]] += 1
    for round_ in rounds:
        found["claims"] += len(round_["claims"] or ()) + len(round_["crowded"])
        found["crowded_out"] += len(round_["crowded"])
        found["settled"] += len(round_["settled"])
        found["rewrites"] += 1
        by_replay = rose(round_["replayed"])
        found["kept" if round_["kept"] else "rolled_back_by_replay" if by_replay else "rolled_back"] += 1
    found["forgotten"] = len(payload["forgotten"])
    return {name: found[name] for name in COUNTS}
