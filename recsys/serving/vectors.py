"""`vectors`: exports a model's vectors of items and users with their ids."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...atomic import disk_errors
from ...errors import ConfigError
from ..data.dataset import Dataset, Floats, Ints
from ..models.capabilities import Biased, Embedding
from .folder import Trained, check_free, open_folder
from .history import At, Data, known

BLOCK_USERS = 50_000
"""Users whose vectors are computed at once."""


def vectors(
    model: Trained | Path | str,
    out: Path | str,
    *,
    data: Data = None,
    items_only: bool = False,
    at: At = "now",
    align: bool = False,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes `items.parquet`, `items.npy` and the same for users into the new folder `out`, atomically; returns sizes.

    The .npy files are (n, d) float32 in the row order of the .parquet files, which have the id (`item_id`, `user_id`),
    `vector`, and `bias` for items of a model that has one: user . item + bias is the model's score. Users' vectors are
    computed from their histories in `data`; `items_only` reads no data. Raises ConfigError for a model without vectors.
    """
    trained = model if isinstance(model, Trained) else open_folder(model)
    embedding, out = trained.model, Path(out)
    if not isinstance(embedding, Embedding):
        raise ConfigError(
            f"{trained.model.name}: has no vectors of users and items to be written; bpr, lightgcn, ials, sasrec, "
            "gru4rec and bert4rec have"
        )
    check_free(out, overwrite=False)
    history = None if items_only else known(trained, data, at=at, align=align, settings=settings)[0]
    items = embedding.item_vectors()
    bias = embedding.item_bias() if isinstance(embedding, Biased) else None
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors(out):
            partial.mkdir(parents=True)
            _write(partial, "items", "item_id", trained.items["item_id"], [items], items.shape[1], bias)
            if history is not None:
                users = _of_users(embedding, history)
                _write(partial, "users", "user_id", trained.users["user_id"], users, items.shape[1], None)
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {
        "folder": str(out),
        "items": len(items),
        "users": history.n_users if history is not None else 0,
        "size": int(items.shape[1]),
        "bias": bias is not None,
    }


def _of_users(model: Embedding, history: Dataset) -> Iterator[Floats]:
    everyone: Ints = np.arange(history.n_users, dtype=np.int32)
    for first in range(0, len(everyone), BLOCK_USERS):
        yield model.user_vectors(everyone[first : first + BLOCK_USERS], history)


def _write(out: Path, stem: str, column: str, ids: pd.Series, blocks: Any, size: int, bias: Floats | None) -> None:
    """Writes both files, one block of vectors at a time."""
    fields = [(column, pa.string()), ("vector", pa.list_(pa.float32(), size))]
    schema = pa.schema(fields + ([("bias", pa.float32())] if bias is not None else []))
    whole = np.lib.format.open_memmap(out / f"{stem}.npy", mode="w+", dtype=np.float32, shape=(len(ids), size))
    first = 0
    with pq.ParquetWriter(out / f"{stem}.parquet", schema) as writer:
        for block in blocks:
            here = slice(first, first + len(block))
            whole[here] = block
            flat = pa.array(np.ascontiguousarray(block, np.float32).ravel())
            columns = [pa.array(ids.iloc[here].to_list(), pa.string()), pa.FixedSizeListArray.from_arrays(flat, size)]
            if bias is not None:
                columns.append(pa.array(bias[here], pa.float32()))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            first += len(block)
    whole.flush()
