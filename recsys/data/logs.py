"""Writes interactions as one file in the form one already has: a user log goes in, a refined log comes out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ...atomic import write_output
from ...errors import ConfigError
from .dataset import PROVENANCE_COLUMNS, Dataset
from .times import PER_SECOND
from .writers import write_delimited


def write_log(
    data: Dataset,
    path: str | Path,
    columns: Mapping[str, str | int] | None = None,
    *,
    separator: str | None = None,
    time: str = "s",
    provenance: bool = True,
    overwrite: bool = True,
) -> Path:
    """The interactions as one CSV, TSV, Parquet or `.inter` file, told from the name, with the caller's column names.

    `columns` is the map the log was read with (our name -> the file's), and says which columns are written and in
    which order; without it all are, under our names (RecBole's in an `.inter`). With `item_id_list` in it an `.inter`
    file has the sequential form: one row a user, history and last item. Numbers instead of names: a file without
    header. With `provenance`, `weight` (where a row's is not 1) and `PROVENANCE_COLUMNS` follow, where the data has
    them; a text that is missing is left empty. `time`: s, ms, us, ns, iso, or a strftime format, in UTC.
    """
    place = Path(path)
    atomic, parquet = place.suffix == ".inter", place.suffix in (".parquet", ".pq")
    names = dict(columns or _all(atomic))
    if atomic and "item_id_list" in names:
        table = _sequences(data)
    else:
        table = _rows(data, time)
        if provenance:
            added = [c for c in PROVENANCE_COLUMNS if c in data.interactions]
            if (data.weight != 1).any():
                added.insert(0, "weight")
            names |= {c: c for c in added if c not in names}
    unknown = [ours for ours in names if ours not in table]
    if unknown:
        raise ConfigError(
            f"columns: {unknown[0]!r} is no column of {data.name!r}; there are {', '.join(map(str, table))}"
        )
    positions = [place for place in names.values() if isinstance(place, int)]
    if positions:
        after = max(positions)
        ordered = sorted(names, key=lambda ours: names[ours] if isinstance(names[ours], int) else after + 1)
        names = {ours: names[ours] for ours in ordered}
    table = table[list(names)]
    if parquet:
        table = table.set_axis([str(n) for n in names.values()], axis=1)
        write_output(place, lambda file: table.to_parquet(file, index=False), overwrite=overwrite)
        return place
    labels = [_typed(ours, str(theirs), time) if atomic else str(theirs) for ours, theirs in names.items()]
    tabs = atomic or place.suffix in (".tsv", ".tab", ".txt")
    text = partial(
        write_delimited,
        table.set_axis(labels, axis=1),
        separator=separator or ("\t" if tabs else ","),
        header=not positions,
        compression="gzip" if place.suffix == ".gz" else None,
    )
    write_output(place, lambda file: text(path=file), overwrite=overwrite)
    return place


def _all(atomic: bool) -> dict[str, str]:
    return {
        "user_id": "user_id",
        "item_id": "item_id",
        "value": "rating" if atomic else "value",
        "timestamp": "timestamp",
    }


def _rows(data: Dataset, time: str) -> pd.DataFrame:
    table = data.interactions.drop(columns=["user", "item"])
    table.insert(0, "user_id", data.users["user_id"].to_numpy()[data.user])
    table.insert(1, "item_id", data.items["item_id"].to_numpy()[data.item])
    if time in PER_SECOND:
        return table.assign(timestamp=data.timestamp * PER_SECOND[time])
    if time != "iso" and "%" not in time:
        raise ConfigError(f"time: {time!r}; write {', '.join(PER_SECOND)}, iso or a format such as %d/%m/%Y")
    moments = pd.Series(pd.to_datetime(data.timestamp, unit="s", utc=True))
    return table.assign(timestamp=moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ" if time == "iso" else time).to_numpy(object))


def _sequences(data: Dataset) -> pd.DataFrame:
    items = data.items["item_id"].astype(str).to_numpy(object)
    users = np.flatnonzero(data.user_counts)
    histories = [items[data.history(int(user))] for user in users]
    return pd.DataFrame(
        {
            "user_id": data.users["user_id"].to_numpy()[users],
            "item_id_list": [" ".join(history[:-1]) for history in histories],
            "item_id": [history[-1] for history in histories],
        }
    )


def _typed(ours: str, theirs: str, time: str) -> str:
    if ours in ("value", "weight", "confidence") or (ours == "timestamp" and time in PER_SECOND):
        return f"{theirs}:float"
    return f"{theirs}:token_seq" if ours == "item_id_list" else f"{theirs}:token"
