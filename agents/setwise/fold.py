"""The fold of set-wise records: interaction weights, preference pairs, texts and their vectors.

All three are our own design. Each can be switched off, leaves the raw rows in place, and says which record it rests on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ...errors import DataError
from ...recsys.data import Dataset
from ..agent import Records
from ..fusion import plain
from ..memory.memory import Embedder
from ..payloads import payloads_for
from .judgement import NAME


class Fold(BaseModel):
    """Which of the agent's results act on training, and how strongly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: bool = True
    """Judged interactions weigh by the rank that the agent gave them in round 0, before the truth was shown."""
    weight_floor: float = Field(0.5, ge=0, le=1)
    """Weight of an interaction put last; the one put first keeps 1."""
    pairs: bool = True
    """Preference pairs by graded score, for models with a pair term."""
    pair_gap: float = Field(0.1, gt=0, le=1)
    """Smallest difference of two scores that makes a pair."""
    pairs_per_step: int = Field(5, ge=1)
    """Most pairs of one candidate list, widest gap first."""
    vectors: bool = True
    """Profiles and item semantics as initial vectors, for models that take them."""


def fold(data: Dataset, records: Records, config: Fold, embed: Embedder | None, texts: dict[int, str]) -> Dataset:
    """A new Dataset; `data` itself is not touched, and returned as it is where there is no ok record.

    texts: item code -> its facts as text, for items without new semantics. Records of other agents are passed over.
    Raises ValueError where vectors are wanted and `embed` is None, DataError for records of other data.
    """
    payloads = _payloads(data, records)
    if not payloads:
        return data
    changes: dict[str, Any] = {}
    if config.weights:
        changes["interactions"] = _weighted(data, payloads, config)
    if config.pairs:
        changes["pairs"] = pd.concat([data.pairs, _pairs(payloads, config)], ignore_index=True)
    if config.vectors:
        if embed is None:
            raise ValueError("Fold.vectors makes vectors of texts: give the agent an embedder, or switch vectors off")
        # What an earlier step wrote stays where this one wrote nothing.
        semantics = _written(data.items, "semantics") | _medoids(payloads, embed)
        described = [f"{texts[i]} | {semantics[i]}" if i in semantics else texts[i] for i in range(data.n_items)]
        profiles = _written(data.users, "profile")
        profiles |= {payload["user"]: payload["profile"] for _, payload in payloads}
        profile_texts = [profiles.get(user, "") for user in range(data.n_users)]
        changes["items"] = data.items.assign(semantics=[semantics.get(i, "") for i in range(data.n_items)])
        changes["users"] = data.users.assign(profile=profile_texts)
        changes["item_vectors"] = embed(described)
        changes["user_vectors"] = embed(profile_texts)
    return data.with_(**changes)


def _payloads(data: Dataset, records: Records) -> list[tuple[str, dict[str, Any]]]:
    """Key and payload of the ok records; `user` is the code in `data`, where the true items stand in the history."""
    codes = {plain(ident): code for code, ident in enumerate(data.users["user_id"])}
    checked = []
    for key, payload in payloads_for(data, records, NAME):
        user = codes.get(payload["user_id"])
        true_items = [step["candidates"][step["positive"]] for step in payload["steps"]]
        if user is None or not np.isin(true_items, data.history(user)).all():
            raise DataError(
                f"record {key!r} of {NAME} walks through choices that {data.name!r} does not have; fold it into the "
                "data that was asked about"
            )
        checked.append((key, {**payload, "user": user}))
    return checked


def _weighted(data: Dataset, payloads: list[tuple[str, dict[str, Any]]], config: Fold) -> pd.DataFrame:
    """Weights from round 0's merged order: later rounds have seen the truth."""
    frame = data.interactions.copy()
    weight = frame["weight"].to_numpy(np.float32, copy=True)
    confidence = _present(frame, "confidence", np.full(len(frame), np.nan, np.float32))
    origin = _present(frame, "origin", np.full(len(frame), "raw", object))
    agent = _present(frame, "agent", np.full(len(frame), "", object))
    record = _present(frame, "record", np.full(len(frame), "", object))
    for key, payload in payloads:
        start = data.indptr[payload["user"]]
        history = data.history(payload["user"])
        for step in payload["steps"]:
            chosen = step["candidates"][step["positive"]]
            order = step["rounds"][0]["order"]
            sure = 1 - order.index(step["positive"]) / max(1, len(order) - 1)
            for row in start + np.flatnonzero(history == chosen):
                weight[row] *= config.weight_floor + (1 - config.weight_floor) * sure
                confidence[row], origin[row], agent[row], record[row] = sure, "reweighted", NAME, key
    return frame.assign(weight=weight, origin=origin, agent=agent, confidence=confidence, record=record)


def _pairs(payloads: list[tuple[str, dict[str, Any]]], config: Fold) -> pd.DataFrame:
    """Pairs of one candidate list by round 0's scores, widest gap first: later rounds have seen the truth."""
    rows = []
    for key, payload in payloads:
        for step in payload["steps"]:
            scores = step["rounds"][0]["scores"]
            by_gap = sorted(
                (
                    (scores[a] - scores[b], -a, -b)
                    for a in range(len(scores))
                    for b in range(len(scores))
                    # The true item is never the dispreferred one: the user took it.
                    if b != step["positive"] and scores[a] - scores[b] >= config.pair_gap
                ),
                reverse=True,
            )
            for gap, a, b in by_gap[: config.pairs_per_step]:
                rows.append((payload["user"], step["candidates"][-a], step["candidates"][-b], gap, NAME, key))
    pairs = pd.DataFrame(rows, columns=["user", "preferred", "other", "weight", "agent", "record"])
    return pairs.astype({"user": np.int32, "preferred": np.int32, "other": np.int32, "weight": np.float32})


def _medoids(payloads: list[tuple[str, dict[str, Any]]], embed: Embedder) -> dict[int, str]:
    """One text an item: of all users' rewrites the one nearest to their mean, so that one odd user cannot decide."""
    proposals: dict[int, list[str]] = {}
    for _, payload in payloads:
        for item, text in payload["semantics"].items():
            proposals.setdefault(int(item), []).append(text)
    chosen = {}
    for item, texts in sorted(proposals.items()):
        vectors = embed(texts)
        chosen[item] = texts[int(np.argmax(np.round(vectors @ vectors.mean(axis=0), 6)))]
    return chosen


def _written(table: pd.DataFrame, column: str) -> dict[int, str]:
    """Code -> the text that an agent has written there already."""
    if column not in table:
        return {}
    return {code: str(text) for code, text in enumerate(table[column]) if isinstance(text, str) and text}


def _present(frame: pd.DataFrame, column: str, default: np.ndarray) -> np.ndarray:
    return frame[column].to_numpy(default.dtype, copy=True) if column in frame else default
