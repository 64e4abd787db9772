"""Splits: which interactions train, which choose settings, which are read once at the end.

In every split the sides are over the same users and items, each row is on exactly one side, and "later" means: by
timestamp, and among equal timestamps by the order of the source.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ...errors import ConfigError, DataError
from .dataset import Dataset, Split
from .delimited import ID, Format, read
from .files import one
from .filters import Moment, seconds

TRAIN, VALID, TEST = 0, 1, 2


def leave_last_out(data: Dataset, valid: int = 1, test: int = 1) -> Split:
    """Of every user the last `test` rows to test, the `valid` before them to validation, the rest to train.

    A user who would keep no row to train on (with valid + test rows or fewer) stays in train whole and is not
    evaluated.
    """
    _whole("valid", valid)
    _whole("test", test)
    from_end = data.indptr[data.user + 1] - 1 - np.arange(len(data))
    side = np.where(from_end < test, TEST, np.where(from_end < test + valid, VALID, TRAIN))
    side[(data.user_counts <= valid + test)[data.user]] = TRAIN
    return _sides(data, side, f"leave_last_out(valid={valid}, test={test})")


def global_time(data: Dataset, valid: float | Moment = 0.1, test: float | Moment = 0.1) -> Split:
    """One moment for everybody: what comes after it is the future.

    `valid` and `test` are both shares of all interactions (below 1), or both the moments at which the side begins
    (unix seconds or ISO 8601). Rows of one timestamp are never torn apart: with shares, the whole second at the border
    goes to the later side, so that no row of train is as late as one of test (a side may then be larger than its
    share). Users and items that occur in a later side only are cold there. Meaningless for data that knows order only.
    """
    shares = [isinstance(side, int | float) and 0 <= side < 1 for side in (valid, test)]
    if all(shares):
        valid, test = float(valid), float(test)  # type: ignore[arg-type]
        _together(valid, test)
        ordered = np.sort(data.timestamp)
        to_test, to_valid = _border(ordered, test), _border(ordered, valid + test)
    elif any(shares):
        raise ConfigError(f"global_time: valid={valid!r} and test={test!r}; give two shares below 1, or two moments")
    else:
        to_valid, to_test = seconds(valid), seconds(test)
        if to_valid > to_test:
            raise ConfigError(f"global_time: validation begins at {valid!r}, after test at {test!r}; swap them")
    side = np.where(data.timestamp >= to_test, TEST, np.where(data.timestamp >= to_valid, VALID, TRAIN))
    return _sides(data, side, f"global_time(valid={valid!r}, test={test!r})")


def per_user_ratio(
    data: Dataset,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    order: Literal["time", "random"] = "time",
) -> Split:
    """Of every user's n rows the last floor(n * test) to test, the floor(n * valid) before them to validation.

    With `order="random"` each user's rows are shuffled first, by a generator of `seed` and the user's own id, so that
    other users do not matter; train then holds rows later than those of test. At least one row of every user stays in
    train.
    """
    _together(valid, test)
    if order not in ("time", "random"):
        raise ConfigError(f"per_user_ratio: order {order!r}; write 'time' or 'random'")
    place = np.arange(len(data)) - data.indptr[data.user]
    if order == "random":
        shuffled = [
            np.random.default_rng([seed, zlib.crc32(str(ident).encode())]).permutation(count)
            for ident, count in zip(data.users["user_id"], data.user_counts, strict=True)
        ]
        place = np.concatenate(shuffled)
    # The small addition keeps a product such as 10 * .7 = 6.999... from losing its row.
    n_test = np.floor(data.user_counts * test + 1e-9).astype(np.int64)
    n_valid = np.floor(data.user_counts * valid + 1e-9).astype(np.int64)
    from_end = data.user_counts[data.user] - 1 - place
    side = np.where(
        from_end < n_test[data.user], TEST, np.where(from_end < (n_test + n_valid)[data.user], VALID, TRAIN)
    )
    return _sides(data, side, f"per_user_ratio(valid={valid:g}, test={test:g})")


def given(data: Dataset, valid_path: str | Path | None, test_path: str | Path) -> Split:
    """The sides as files name them: tab-separated, a header, columns `user_id` and `item_id`; the rest is train.

    Where a pair stands several times in the data, all its rows go to that side, so that train does not know it.
    DataError when a file names a pair the data does not have, or both files name the same pair.
    """
    side = np.full(len(data), TRAIN)
    pairs = pd.MultiIndex.from_arrays([data.user, data.item])
    users = pd.Index(data.users["user_id"].astype(str))
    items = pd.Index(data.items["item_id"].astype(str))
    for number, path in ((VALID, valid_path), (TEST, test_path)):
        if path is None:
            continue
        file = one(path)
        kinds: dict[str, pa.DataType] = {"user_id": ID, "item_id": ID}
        table = read(file, kinds, Format("\t")).to_pandas().astype(str)
        wanted = pd.MultiIndex.from_arrays([users.get_indexer(table["user_id"]), items.get_indexer(table["item_id"])])
        absent = ~wanted.isin(pairs)
        if absent.any():
            row = int(np.flatnonzero(absent)[0])
            user, item = table.iloc[row]
            raise DataError(
                f"{file}: line {row + 2}: user {user!r} has no interaction with item {item!r} in {data.name!r} "
                f"({int(absent.sum())} such lines); give the split made for this data, before any filter"
            )
        chosen = pairs.isin(wanted)
        if (side[chosen] != TRAIN).any():
            row = int(np.flatnonzero(chosen & (side != TRAIN))[0])
            user, item = users[data.user[row]], items[data.item[row]]
            raise DataError(f"{file}: user {user!r}, item {item!r} stands in {valid_path} too; keep it in one of them")
        side[chosen] = number
    return _sides(data, side, f"given({valid_path}, {test_path})")


def _sides(data: Dataset, side: npt.NDArray[np.int64], made_by: str) -> Split:
    counts = np.bincount(side, minlength=3)
    if not counts[TRAIN] or not counts[TEST]:
        empty = "train" if not counts[TRAIN] else "test"
        raise DataError(
            f"dataset {data.name!r}: {made_by} leaves {empty} empty (train, valid, test: "
            f"{', '.join(map(str, counts))} of {len(data)} rows); give it more data or another split"
        )
    return Split(*(data.rows(side == number) for number in (TRAIN, VALID, TEST)))


def _border(ordered: npt.NDArray[np.int64], share: float) -> float:
    """The timestamp from which on the last `share` of the sorted timestamps lie."""
    rows = math.floor(len(ordered) * share + 1e-9)
    return float(ordered[len(ordered) - rows]) if rows else math.inf


def _whole(name: str, count: int) -> None:
    if not isinstance(count, int) or count < 0:
        raise ConfigError(f"leave_last_out: {name}={count}; give a whole number of rows, 0 or more")


def _together(valid: float, test: float) -> None:
    if valid < 0 or test < 0 or valid + test >= 1:
        raise ConfigError(f"valid={valid:g} and test={test:g}; give shares from 0 up whose sum is below 1")
