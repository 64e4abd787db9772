"""What the set-wise records change in the data: interaction weights, preference pairs, texts and their vectors.

All three are our own design. Each can be switched off, leaves the raw rows in place, and says which record it rests on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ...recsys.data import Dataset
from ..agent import Records
from ..memory.memory import Embedder
from .state import NAME


class Fold(BaseModel):
    """Which of the agent's words act on training, and how strongly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: bool = True
    """Judged interactions count by how high the agent put them before it was told the truth."""
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
    """A new Dataset with what the ok records say; `data` itself is not touched.

    texts: item code -> its facts as text, for items without new semantics. Records of other agents are passed over.
    Raises ValueError where vectors are wanted and `embed` is None.
    """
    payloads = list(_payloads(records))
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


def _payloads(records: Records) -> Iterator[tuple[str, dict[str, Any]]]:
    ok = records[(records["status"] == "ok") & (records["agent"] == NAME)].sort_values("key")
    for key, payload in zip(ok["key"], ok["payload"], strict=True):
        yield key, json.loads(payload)


def _weighted(data: Dataset, payloads: list[tuple[str, dict[str, Any]]], config: Fold) -> pd.DataFrame:
    """Weights from the first round's merged order: later rounds have been told the truth and prove nothing."""
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
    """Pairs of one candidate list by the scores that were accepted last, widest gap first."""
    rows = []
    for key, payload in payloads:
        for step in payload["steps"]:
            scores = [r for r in step["rounds"] if r["kept"]][-1]["scores"]
            by_gap = sorted(
                (
                    (scores[a] - scores[b], -a, -b)
                    for a in range(len(scores))
                    for b in range(len(scores))
                    # The truth may be preferred, never dispreferred: the user did take it.
                    if b != step["positive"] and scores[a] - scores[b] >= config.pair_gap
                ),
                reverse=True,
            )
            for gap, a, b in by_gap[: config.pairs_per_step]:
                rows.append((payload["user"], step["candidates"][-a], step["candidates"][-b], gap, NAME, key))
    found = pd.DataFrame(rows, columns=["user", "preferred", "other", "weight", "agent", "record"])
    return found.astype({"user": np.int32, "preferred": np.int32, "other": np.int32, "weight": np.float32})


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
