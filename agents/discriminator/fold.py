"""The fold of the discriminator's records: generated rows below the cut are dropped, doubted real rows weigh less."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...recsys.data import Dataset
from ..agent import Records
from ..fusion import GENERATED, REMOVED, REWEIGHTED, is_generated, plain, with_provenance
from ..payloads import has_valid, payloads_for
from .calibration import Calibration
from .config import Discriminate
from .machine import NAME


def fold(data: Dataset, records: Records, calibration: Calibration, config: Discriminate) -> Dataset:
    """A new Dataset; `data` itself is not touched. Rows that no ok record judges stay, save generated ones: without a
    word for it a generated row goes, too, where generated rows were to be judged."""
    if not has_valid(records, NAME) and not is_generated(data).any():
        return data
    frame = with_provenance(data.interactions)
    given, key, is_judged = confidences(data, records)
    generated = (frame["origin"] == GENERATED).to_numpy()
    stays = np.ones(len(frame), bool)
    if len(records) and "generated" in config.judge:
        stays = ~generated | (is_judged & calibration.keeps(given))
    noise = ~generated & is_judged & calibration.doubts(given)
    confidence = frame["confidence"].to_numpy(np.float32, copy=True)
    replaced = is_judged & (generated | noise)
    confidence[replaced] = calibration(given[replaced])
    weight = frame["weight"].to_numpy(np.float32, copy=True)
    weight[noise] *= config.noise.weight if config.noise.action == "weight" else 0
    frame = frame.assign(weight=weight, confidence=confidence)
    origin, agent, record = (frame[c].to_numpy(object, copy=True) for c in ("origin", "agent", "record"))
    origin[noise] = REWEIGHTED if config.noise.action == "weight" and config.noise.weight else REMOVED
    agent[noise], record[noise] = NAME, key[noise]
    frame = frame.assign(origin=origin, agent=agent, record=record)
    return data.with_(interactions=frame[stays].reset_index(drop=True))


def confidences(
    data: Dataset, records: Records
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """(n,) confidence as given (NaN: not judged), (n,) key of the record, (n,) whether it is judged, of every row."""
    codes = {plain(ident): code for code, ident in enumerate(data.users["user_id"])}
    rows = [
        (codes[payload["user"]], row["item"], row["role"] == "generated", row["confidence"], key)
        for key, payload in payloads_for(data, records, NAME)
        if payload["purpose"] == "judge" and payload["user"] in codes
        for row in payload["rows"]
    ]
    scores = pd.DataFrame(rows, columns=["user", "item", "generated", "confidence", "key"])
    scores = scores.drop_duplicates(["user", "item", "generated"])
    mine = pd.DataFrame({"user": data.user.astype(np.int64), "item": data.item.astype(np.int64)})
    mine["generated"] = is_generated(data)
    scores = scores.astype({"user": np.int64, "item": np.int64, "generated": bool, "confidence": np.float64})
    both = mine.merge(scores, how="left", on=["user", "item", "generated"])
    is_judged = both["confidence"].notna().to_numpy()
    return both["confidence"].to_numpy(np.float64), both["key"].fillna("").to_numpy(object), is_judged


def report(
    data: Dataset, records: Records, calibration: Calibration, config: Discriminate, head: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """The calibration's report, and how many rows were judged and accepted, by origin and by head and tail.

    data: what was judged. head: (n_items,). A real row is accepted unless it was taken for noise.
    """
    given, _, is_judged = confidences(data, records)
    generated = is_generated(data)
    accepted = np.where(generated, calibration.keeps(given), ~calibration.doubts(given)) & is_judged
    ways: Counter[str] = Counter()
    for _, payload in payloads_for(data, records, NAME):
        ways.update(row["by"] for row in payload["rows"])
    rates = {}
    for name, mask in (("real", ~generated), ("generated", generated)):
        for group, side in (("head", head), ("tail", ~head)):
            here = mask & is_judged & side[data.item]
            rates[f"{name}_{group}"] = {
                "judged": int(here.sum()),
                "accepted": int(accepted[here].sum()),
                "rate": float(accepted[here].mean()) if here.any() else float("nan"),
            }
    return {"calibration": calibration.report(), "acceptance": rates, "confidence_by": dict(sorted(ways.items()))}
