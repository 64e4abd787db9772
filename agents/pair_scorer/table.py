"""Records to tables: scores for guided recommenders, and preference pairs for models that accept only pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...errors import DataError
from ...recsys.data import Dataset
from ...recsys.data.dataset import PAIR_COLUMNS, SCORE_COLUMNS
from ...recsys.guidance import PairScores
from ...recsys.guidance.pairs import widest_pairs
from ..agent import Records
from ..fusion import plain
from ..payloads import payloads_for, read_payloads
from .config import ScorePairs
from .machine import NAME


def scored_rows(payloads: Iterable[tuple[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """One row per scored pair of the payloads (`SCORE_COLUMNS`); `spread` is NaN with a single draw."""
    parts = [
        pd.DataFrame({name: payload[name] for name in ("user", "items", "scores")}).assign(
            spread=payload["spread"] if payload["spread"] is not None else np.nan, agent=NAME, record=key
        )
        for key, payload in payloads
    ]
    if not parts:
        return pd.DataFrame({name: np.empty(0) for name in SCORE_COLUMNS})
    rows = pd.concat(parts, ignore_index=True).rename(columns={"items": "item", "scores": "score"})
    kinds = {"user": np.int32, "item": np.int32, "score": np.float32, "spread": np.float32}
    return rows.astype(kinds)[list(SCORE_COLUMNS)]


def pair_scores(records: Records) -> PairScores:
    """The scores of all ok records; `write_scores` saves them as Parquet."""
    return PairScores.of(scored_rows(read_payloads(records, NAME)))


def fold(data: Dataset, records: Records, config: ScorePairs) -> Dataset:
    """`data` with the scores, and with the pairs of widest gaps as preference pairs, weighted by their gap."""
    codes = {plain(ident): code for code, ident in enumerate(data.users["user_id"])}
    mapped = []
    for key, payload in payloads_for(data, records, NAME):
        if payload["user_id"] not in codes:
            raise DataError(
                f"record {key!r} of {NAME} is about a user that {data.name!r} does not have; fold it into the data "
                "that was asked about"
            )
        mapped.append((key, {**payload, "user": codes[payload["user_id"]]}))
    rows = scored_rows(mapped)
    if rows.empty:
        return data
    table = PairScores.of(rows)
    widest = widest_pairs(table, data.n_users, config.pairs, config.pair_gap)
    key_of = dict(zip(rows["user"], rows["record"], strict=True))
    users = table.user[widest.better]
    pairs = pd.DataFrame(
        {
            "user": users,
            "preferred": table.item[widest.better],
            "other": table.item[widest.worse],
            "weight": widest.gap,
            "agent": NAME,
            "record": [key_of[user] for user in users.tolist()],
        },
        columns=list(PAIR_COLUMNS),
    )
    known = [frame for frame in (data.scores, rows) if len(frame)]
    stated = [frame for frame in (data.pairs, pairs) if len(frame)]
    return data.with_(
        scores=pd.concat(known, ignore_index=True),
        pairs=pd.concat(stated, ignore_index=True) if stated else data.pairs,
    )


def report(records: Records) -> dict[str, Any]:
    """Summary of the records: pairs, draws per user, agreement of draws, distribution of scores."""
    every = [payload for _, payload in read_payloads(records, NAME)]
    agreed = [payload["agreement"] for payload in every if payload["agreement"] is not None]
    scores = np.concatenate([payload["scores"] for payload in every]) if every else np.empty(0)
    return {
        "users": len(every),
        "pairs": len(scores),
        "draws_a_user": float(np.mean([payload["draws"] for payload in every])) if every else float("nan"),
        "agreement": float(np.mean(agreed)) if agreed else float("nan"),
        "score_mean": float(scores.mean()) if len(scores) else float("nan"),
        "score_deviation": float(scores.std()) if len(scores) else float("nan"),
    }
