"""Payloads of records, checked against the data they are folded into.

Payloads hold items as codes of the dataset that the tasks were made of. Each names that dataset's item ids by a digest,
`catalogue`, so that codes are never read with another dataset's items.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from ..errors import DataError
from ..recsys.data import Dataset
from .agent import Records

PAYLOAD_FORM = 3
"""Form of the payloads of this package's agents; a step's identity holds it, so that older records are not resumed.
2: with `catalogue`. 3: no row about an item without text."""


def catalogue_digest(data: Dataset) -> str:
    """16 hex digits of the item ids in the order of their codes."""
    ids = data.items["item_id"]
    hashes = pd.util.hash_array(ids.astype(str).to_numpy(object))
    return hashlib.sha256(f"{ids.dtype.kind in 'iu'}".encode() + hashes.tobytes()).hexdigest()[:16]


def read_payloads(records: Records, agent: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and payload of the agent's ok records, by key."""
    ok = records[(records["status"] == "ok") & (records["agent"] == agent)].sort_values("key")
    for key, payload in zip(ok["key"], ok["payload"], strict=True):
        yield key, json.loads(payload)


def payloads_for(data: Dataset, records: Records, agent: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same, for a fold into `data`. Raises DataError for records that were made of another catalogue."""
    digest = catalogue_digest(data)
    for key, payload in read_payloads(records, agent):
        if "catalogue" not in payload:
            raise DataError(
                f"record {key!r} of {agent} does not say which items its codes stand for: an older recloop wrote it; "
                "run the step again in a new `out` folder"
            )
        if payload["catalogue"] != digest:
            raise DataError(
                f"record {key!r} of {agent} was made of another catalogue than {data.name!r} has: its items have other "
                "ids or another order; fold it into the data that was asked about"
            )
        yield key, payload


def has_valid(records: Records, agent: str) -> bool:
    """Whether the agent has at least one ok record; without any, `fold` gives back the data as they are."""
    return bool(((records["status"] == "ok") & (records["agent"] == agent)).any())
