"""What the denoiser's records change, with provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import DataError
from ...recsys.data import Dataset
from ..agent import Records
from ..fusion import REMOVED, REPLACED, REWEIGHTED, is_generated, plain, with_provenance
from ..payloads import has_valid, payloads_for, read_payloads
from .config import Denoise
from .doubts import NAME


def fold(data: Dataset, records: Records, config: Denoise) -> Dataset:
    """A new Dataset; `data` itself is not touched, and returned as it is where there is no ok record.

    Rows that no ok record judges stay as they are. A removed row keeps its place with weight 0 and origin `removed`; a
    replaced one has another item, the code of the old one in the column `was` (-1 elsewhere) and origin `replaced`; a
    down-weighted one has origin `reweighted`. `confidence` is the score, `record` the key of the record.
    Profiles of mode hard_samples become the users' column `profile`. DataError for records of other data.
    """
    if not has_valid(records, NAME):
        return data
    frame = with_provenance(data.interactions)
    columns = {name: frame[name].to_numpy(copy=True) for name in ("item", "weight", "confidence")}
    if config.action == "replace":
        columns["was"] = frame["was"].to_numpy(copy=True) if "was" in frame else np.full(len(frame), -1, np.int32)
    texts = {name: frame[name].to_numpy(object, copy=True) for name in ("origin", "agent", "record")}
    profiles: dict[int, str] = {}
    for key, user, payload, places in _judged_rows(data, records):
        if payload.get("profile"):
            profiles[user] = payload["profile"]
        for row in payload["rows"]:
            if row["verdict"] == "keep":
                continue
            at = places[row["at"]]
            columns["confidence"][at] = row["score"]
            texts["agent"][at], texts["record"][at] = NAME, key
            match row["verdict"]:
                case "remove":
                    columns["weight"][at], texts["origin"][at] = 0, REMOVED
                case "replace":
                    columns["was"][at] = row["item"]
                    columns["item"][at], texts["origin"][at] = row["new"], REPLACED
                case _:
                    columns["weight"][at] *= config.weight
                    texts["origin"][at] = REWEIGHTED
    folded = data.with_(interactions=frame.assign(**columns, **texts))
    if not profiles:
        return folded
    blank = data.users["profile"].fillna("").tolist() if "profile" in data.users else [""] * data.n_users
    column = np.array([profiles.get(user, before) for user, before in enumerate(blank)], object)
    return folded.with_(users=data.users.assign(profile=column))


def reasons_of(records: Records) -> dict[tuple[str, int], str]:
    """(record, item code) -> the model's reason, for every row that was edited."""
    return {
        (key, row["item"]): row["reason"]
        for key, payload in read_payloads(records, NAME)
        for row in payload["rows"]
        if row.get("reason")
    }


def report(records: Records) -> dict[str, Any]:
    """Counts over all judged rows: by verdict, by guard, rolled back."""
    verdicts: Counter[str] = Counter()
    spared: Counter[str] = Counter()
    n_rows = rolled_back = 0
    for _, payload in read_payloads(records, NAME):
        n_rows += len(payload["rows"])
        for row in payload["rows"]:
            verdicts[row["verdict"]] += 1
            rolled_back += bool(row.get("rolled_back"))
            if row.get("guard"):
                spared[row["guard"]] += 1
    names = ("keep", "remove", "replace", "weight")
    guards = ("cold", "new_interest", "budget")
    return {
        "judged": n_rows,
        "verdicts": {name: verdicts[name] for name in names},
        "spared": {name: spared[name] for name in guards},
        "rolled_back": rolled_back,
    }


def _judged_rows(data: Dataset, records: Records) -> Iterator[tuple[str, int, dict[str, Any], list[int]]]:
    """Key, user code, payload, and the row of each place that the payload counts."""
    codes = {plain(ident): code for code, ident in enumerate(data.users["user_id"])}
    real = ~is_generated(data)
    for key, payload in payloads_for(data, records, NAME):
        user = codes.get(payload["user"])
        if user is None:
            continue
        span = np.arange(data.indptr[user], data.indptr[user + 1])
        places = span[real[span]].tolist()
        for row in payload["rows"]:
            if row["at"] >= len(places) or int(data.item[places[row["at"]]]) != row["item"]:
                raise DataError(
                    f"record {key!r} judges item {row['item']} at place {row['at']} of user {payload['user']!r}, where "
                    f"{data.name!r} has another; fold it into the data that was asked about"
                )
        yield key, user, payload, places
