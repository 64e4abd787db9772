"""`recommend`: top-k items for some users, or for all, from a model's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...atomic import check_output, write_output
from ...errors import ConfigError
from .folder import Trained, open_folder
from .history import At, Data, known
from .ids import codes_of
from .lists import lists

COLUMNS = ("user_id", "item_id", "rank", "score", "title")


def recommend(
    model: Trained | Path | str,
    users: Sequence[object] | None = None,
    k: int = 10,
    *,
    data: Data = None,
    filter_seen: bool = True,
    at: At = "now",
    align: bool = False,
    settings: Sequence[str] = (),
    block: int | None = None,
) -> pd.DataFrame:
    """A row per recommended item (`COLUMNS`): users in the given order, ranks 1..k within each.

    model: a folder written by `recloop train`. users: the data's own ids; None for all (see `recommend_to_file`, which
    holds one block in memory). data: the users' histories, by default the model's own data. at: `now` uses every
    interaction; `test` train + validation, so that the lists can be evaluated on the test side. filter_seen: leave out
    items of the history. Ties are by order of the items in the data. Raises DataError for an unknown id, naming similar
    ones, and for data with other users or items than the model's.
    """
    parts = list(_frames(model, users, k, data, filter_seen, at, align, settings, block))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def recommend_to_file(
    model: Trained | Path | str,
    file: Path | str,
    users: Sequence[object] | None = None,
    k: int = 10,
    *,
    data: Data = None,
    filter_seen: bool = True,
    at: At = "now",
    align: bool = False,
    settings: Sequence[str] = (),
    block: int | None = None,
    overwrite: bool = False,
) -> int:
    """Writes the output of `recommend` to a `.parquet` or `.csv` file, block by block; returns the number of rows.

    The file is written atomically. Raises ConfigError for an existing file without `overwrite`, RunError for a full or
    read-only disk.
    """
    file = Path(file)
    if file.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{file}: recommendations are written as .parquet or .csv")
    check_output(file, overwrite=overwrite)
    frames = _frames(model, users, k, data, filter_seen, at, align, settings, block)
    rows = 0

    def write(partial: Path) -> None:
        nonlocal rows
        rows = _to_parquet(frames, partial) if file.suffix == ".parquet" else _to_csv(frames, partial)

    write_output(file, write, overwrite=overwrite)
    return rows


def _frames(
    model: Trained | Path | str,
    users: Sequence[object] | None,
    k: int,
    data: Data,
    filter_seen: bool,
    at: At,
    align: bool,
    settings: Sequence[str],
    block: int | None,
) -> Iterator[pd.DataFrame]:
    trained = model if isinstance(model, Trained) else open_folder(model)
    codes = None if users is None else codes_of(users, trained.users, "user_id")
    history, _ = known(trained, data, at=at, align=align, settings=settings)
    user_ids, item_ids, titles = (
        trained.users["user_id"].to_numpy(object),
        trained.items["item_id"].to_numpy(object),
        trained.items["title"].to_numpy(object),
    )
    for served, items, scores in lists(trained.model, history, codes, k, filter_seen=filter_seen, block=block):
        row, place = np.nonzero(items >= 0)
        chosen = items[row, place]
        yield pd.DataFrame(
            {
                "user_id": user_ids[served[row]],
                "item_id": item_ids[chosen],
                "rank": place + 1,
                "score": scores[row, place].astype(np.float32),
                "title": titles[chosen],
            }
        )


def _to_parquet(frames: Iterator[pd.DataFrame], file: Path) -> int:
    kinds = (pa.string(), pa.string(), pa.int64(), pa.float32(), pa.string())
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    rows = 0
    with pq.ParquetWriter(file, schema) as writer:
        for frame in frames:
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
            rows += len(frame)
    return rows


def _to_csv(frames: Iterator[pd.DataFrame], file: Path) -> int:
    rows = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write(",".join(COLUMNS) + "\n")
        for frame in frames:
            frame.to_csv(out, index=False, header=False)
            rows += len(frame)
    return rows
