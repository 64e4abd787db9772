"""Candidate lists with one held-out item each, and the NDCG of the agent's rankings of them.

The lists are made from the validation or test side, which no task of the agent reads; the agent ranks them after its
profiles are final.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...agents.agent import Records
from ...agents.memory.memory import Memo
from ...agents.setwise import RankingQuery
from ...agents.setwise.agent import negatives
from ...recsys.data import Dataset, Split, together

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class HeldOutList:
    """One user's list: the true item among others the user never took, shuffled."""

    user: int
    candidates: tuple[int, ...]
    truth: int


def held_out_lists(
    split: Split,
    users: Iterable[int],
    *,
    candidates: int = 10,
    kind: Literal["uniform", "popularity"] = "uniform",
    side: Literal["valid", "test"] = "test",
    seed: int = 0,
) -> list[HeldOutList]:
    """One list a user who has something held out on `side` (its first item there), sampled with rng [seed, user].

    The others have train interactions and are on no side of the user's, so that no other held-out item is among them.
    """
    held = split.test if side == "test" else split.valid
    everything = together(together(split.train, split.valid), split.test)
    popular = np.argsort(-split.train.item_counts, kind="stable")
    popular = popular[split.train.item_counts[popular] > 0]
    lists = []
    for user in users:
        truths = held.history(user)
        if not len(truths):
            continue
        rng, truth = np.random.default_rng([seed, user]), int(truths[0])
        # An item that nobody had in train has no rank to match: its nearest neighbours are the rarest items.
        ranked = popular if truth in popular else np.append(popular, truth)
        seen = [int(item) for item in everything.history(user)]
        others = negatives(truth, seen, ranked, candidates - 1, kind, rng)
        lists.append(HeldOutList(user, tuple(int(item) for item in rng.permutation([truth, *others])), truth))
    return lists


def walked_users(records: Records) -> list[int]:
    """The users with an ok record, ascending."""
    return sorted(payload["user"] for payload in _payloads(records))


def ranking_queries(
    lists: Iterable[HeldOutList], records: Records, state: Literal["first", "final"] = "final"
) -> list[RankingQuery]:
    """One query a list, with the user's first profile, or with the final one and its item semantics.

    Users without an ok record are left out.
    """
    known = {payload["user"]: payload for payload in _payloads(records)}
    queries = []
    for one in lists:
        payload = known.get(one.user)
        if payload is None:
            continue
        final = state == "final"
        semantics = {int(i): text for i, text in payload["semantics"].items()} if final else {}
        claims = [claim["text"] for claim in payload["claims" if final else "first_claims"]]
        memos = tuple(_memo(memo) for memo in payload["memos"]) if final else ()
        queries.append(RankingQuery(one.user, one.candidates, claims, semantics, memos))
    return queries


def true_item_ndcg(lists: Iterable[HeldOutList], records: Records) -> pd.DataFrame:
    """One row a user with an answer: `user`, `ndcg@1`, `ndcg@5`, `ndcg@10` of the true item's place."""
    truth = {one.user: one.truth for one in lists}
    rows = []
    for payload in _payloads(records):
        rank = payload["order"].index(truth[payload["user"]]) + 1
        rows.append({"user": payload["user"]} | {f"ndcg@{k}": gain(rank, k) for k in CUTOFFS})
    return pd.DataFrame(rows, columns=["user", *(f"ndcg@{k}" for k in CUTOFFS)]).sort_values("user", ignore_index=True)


def gain(rank: int, k: int) -> float:
    """NDCG@k of one relevant item at `rank`, counted from 1."""
    return float(1 / np.log2(rank + 1)) if rank <= k else 0.0


def chance(candidates: int, k: int) -> float:
    """The NDCG@k that a random order of so many candidates has in the mean."""
    return float(np.mean([gain(rank, k) for rank in range(1, candidates + 1)]))


def by_popularity(lists: Iterable[HeldOutList], train: Dataset) -> pd.DataFrame:
    """The row without any agent: candidates by train popularity, ties at their place in the shuffled list."""
    rows = []
    for one in lists:
        order = sorted(range(len(one.candidates)), key=lambda p: (-train.item_counts[one.candidates[p]], p))
        rank = [one.candidates[p] for p in order].index(one.truth) + 1
        rows.append({"user": one.user} | {f"ndcg@{k}": gain(rank, k) for k in CUTOFFS})
    return pd.DataFrame(rows, columns=["user", *(f"ndcg@{k}" for k in CUTOFFS)]).sort_values("user", ignore_index=True)


def _memo(fields: dict[str, Any]) -> Memo:
    return Memo(**{**fields, "evidence": tuple(fields["evidence"])})


def _payloads(records: Records) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in records.loc[records["status"] == "ok", "payload"]]
