"""Fusion of real and synthetic interactions: how many generated rows stay, and what they weigh.

A generated row has `origin` generated; the agent, its confidence and its record stand beside it. Real rows are never
deleted: noise is down-weighted or has weight 0. A fold makes a new Dataset: to undo one agent of a stack, fold the
records of the others into the raw data again.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from ..recsys.data import Dataset

Bools = npt.NDArray[np.bool_]
GENERATED, REWEIGHTED, REMOVED, REPLACED = "generated", "reweighted", "removed", "replaced"


class Fusion(BaseModel):
    """What generated rows count beside real ones. Without any setting: the union, each row like a real one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: Literal["one", "confidence"] = "one"
    """What a generated row counts in training: as much as a real one, or its confidence."""
    quota: PositiveInt | None = None
    """Most generated rows of one item, the surest first."""
    share: float | None = Field(None, ge=0)
    """Most generated rows for each real one in all, the surest first: 0.2 adds at most a fifth."""


def added(data: Dataset, rows: pd.DataFrame, agent: str) -> Dataset:
    """`data` with generated rows: columns user, item (codes), confidence and record; at the user's last moment.

    A pair that the data holds already is passed over; of equal new ones the surest stays. The value is the user's
    median one.
    """
    frame = with_provenance(data.interactions)
    new = rows.sort_values(["user", "item", "confidence", "record"], ascending=[True, True, False, True])
    new = new.drop_duplicates(["user", "item"])
    held = pd.MultiIndex.from_arrays([data.user, data.item])
    new = new[~pd.MultiIndex.from_frame(new[["user", "item"]]).isin(held)]
    if not len(new):
        return data.with_(interactions=frame)
    users = new["user"].to_numpy(np.int64)
    by_user = data.interactions.groupby("user", sort=True)
    last, value = by_user["timestamp"].max(), by_user["value"].median()
    whole = pd.DataFrame(
        {
            "user": users.astype(np.int32),
            "item": new["item"].to_numpy(np.int32),
            "timestamp": last.reindex(users).fillna(int(last.max())).to_numpy(np.int64),
            "value": value.reindex(users).fillna(1).to_numpy(np.float32),
            "weight": np.ones(len(new), np.float32),
            "origin": GENERATED,
            "agent": agent,
            "confidence": new["confidence"].to_numpy(np.float32),
            "record": new["record"].to_numpy(object),
        }
    )
    for column in frame.columns.difference(whole.columns, sort=False):
        whole[column] = -1 if frame[column].dtype.kind in "iu" else None
    return data.with_(interactions=pd.concat([frame, whole[list(frame.columns)]], ignore_index=True))


def fused(data: Dataset, fusion: Fusion) -> Dataset:
    """`data` with its generated rows cut to quota and share, and weighed."""
    frame = with_provenance(data.interactions)
    generated = (frame["origin"] == GENERATED).to_numpy()
    rows = pd.DataFrame(
        {
            "user": data.users["user_id"].to_numpy()[data.user[generated]],
            "item": data.item[generated],
            "confidence": frame["confidence"].to_numpy()[generated],
        }
    )
    selected = within(rows, int((~generated).sum()), fusion)
    frame = weighed(frame, fusion)
    stays = np.ones(len(frame), bool)
    stays[np.flatnonzero(generated)[~selected]] = False
    return data.with_(interactions=frame[stays].reset_index(drop=True))


def within(rows: pd.DataFrame, real: int, fusion: Fusion) -> Bools:
    """(len(rows),) which generated rows (user id, item, confidence) stay, beside so many real ones; surest first.

    Rows equally sure are taken by a hash of the user's id, so that the order in which users stand does not matter.
    """
    ties = pd.util.hash_array(rows["user"].astype(str).to_numpy(object))
    sure = rows["confidence"].fillna(0).to_numpy()
    order = np.lexsort((rows["item"].to_numpy(), ties, -sure))
    stays = np.ones(len(rows), bool)
    if fusion.quota is not None:
        place = rows.iloc[order].groupby("item").cumcount().to_numpy()
        stays[order[place >= fusion.quota]] = False
    if fusion.share is not None:
        stays[order[stays[order]][int(fusion.share * real) :]] = False
    return stays


def weighed(frame: pd.DataFrame, fusion: Fusion) -> pd.DataFrame:
    """The frame with what its generated rows count."""
    generated = (frame["origin"] == GENERATED).to_numpy()
    sure = frame["confidence"].fillna(0).to_numpy(np.float32)
    counts = np.ones(len(frame), np.float32) if fusion.weight == "one" else sure
    return frame.assign(weight=np.where(generated, counts, frame["weight"].to_numpy()).astype(np.float32))


def with_provenance(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that has every provenance column; values of a raw row where it had none."""
    frame = frame.copy()
    for column, blank in (("origin", "raw"), ("agent", ""), ("confidence", np.float32(np.nan)), ("record", "")):
        if column not in frame:
            frame[column] = pd.Series(blank, index=frame.index, dtype=np.float32 if column == "confidence" else object)
    return frame


def is_generated(data: Dataset) -> Bools:
    """(n,) true for rows that an agent has added."""
    if "origin" not in data.interactions:
        return np.zeros(len(data), bool)
    return (data.interactions["origin"] == GENERATED).to_numpy()


def real_rows(data: Dataset) -> Dataset:
    """`data` without them."""
    return data.rows(~is_generated(data)) if "origin" in data.interactions else data


def plain(ident: object) -> int | str:
    """An id of the data as JSON can hold it."""
    return int(ident) if isinstance(ident, int | np.integer) else str(ident)
