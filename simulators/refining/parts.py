"""One block as a `Dataset` over the items of the whole log, and the users sampled from all blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from ...agents.user_sample import hash_order
from ...errors import DataError
from ...recsys.data import Dataset
from ...recsys.data.dataset import PROVENANCE_COLUMNS, Longs
from ...recsys.data.log_file import LogFile
from ...recsys.data.streams import seconds
from .blocks import Blocks, hashed, item_codes

_SEED = "recloop-sample--"
_BASIC = ("user", "item", "fine", "value", "weight", "row", *PROVENANCE_COLUMNS)


@dataclass(frozen=True)
class Parts:
    """A log in blocks, with the catalogue over which every part is a Dataset: `row` tells where a row stands in it."""

    log: LogFile
    blocks: Blocks
    catalogue: Dataset
    """No interactions; the items of the log, their texts joined on, and, after them, items that nobody took."""

    def dataset(self, block: int) -> Dataset:
        """The rows of one block; users in the order in which they come in it."""
        return self._dataset(self.frame(block))

    def frame(self, block: int) -> pd.DataFrame:
        """The rows of one block that recloop reads: user, item (ids), fine, value, weight, row, provenance."""
        if self.log.kind == "sequences":
            return unrolled(self.blocks.read(block, ["user", "items", "row"]), self.log)
        names = set(parquet.read_schema(self.blocks.path(block)).names)
        return self.blocks.read(block, [name for name in _BASIC if name in names]).to_pandas()

    def counts(self) -> Longs:
        """(n_items,) interactions of each item in the log."""
        counts = np.zeros(self.catalogue.n_items, np.int64)
        for block in range(self.blocks.count):
            counts += np.bincount(self._items(block), minlength=len(counts))
        return counts

    def sample(self, rows: int) -> Dataset:
        """Whole users, by a hash of their ids, with at most `rows` interactions in all, in the order of the log.

        The share of users is the largest power of 1/2 that fits, so that neither blocks nor chunks matter.
        """
        sampled: list[pd.DataFrame] = []
        rows_held, border = 0, 1 << 63
        for block in range(self.blocks.count):
            frame = self.frame(block)
            frame["hash"] = hashed(frame["user"], _SEED) >> np.uint64(1)
            sampled.append(frame[frame["hash"] < border])
            rows_held += len(sampled[-1])
            while rows_held > rows and border > 1:
                border >>= 1
                sampled = [part[part["hash"] < border] for part in sampled]
                rows_held = sum(map(len, sampled))
        whole = pd.concat(sampled, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)
        return self._dataset(whole.drop(columns="hash"))

    def sample_users(self, count: int, least: int, seed: int) -> frozenset[int | str]:
        """The ids of `count` users of all blocks, among those with at least so many rows: the first in `hash_order`."""
        first = pd.Series(np.empty(0, np.uint64))
        for block in range(self.blocks.count):
            rows = self.frame(block)["user"].value_counts(sort=False)
            users = pd.Series(rows.index[rows >= least])
            first = pd.concat([first, pd.Series(hash_order(users, seed), index=users)])
            first = first.sort_values(kind="stable").iloc[:count]
        return frozenset(first.index)

    def _items(self, block: int) -> npt.NDArray[np.int32]:
        if self.log.kind == "sequences":
            return item_codes(self.blocks, self.frame(block)["item"])
        return item_codes(self.blocks, self.blocks.read(block, ["item"])["item"].to_pandas())

    def _dataset(self, frame: pd.DataFrame) -> Dataset:
        users, ids = pd.factorize(frame["user"])
        # Moments of one second, but of different milliseconds, keep their order.
        frame = frame.assign(user=users.astype(np.int32), item=item_codes(self.blocks, frame["item"]))
        frame = frame.sort_values(["user", "fine"], kind="stable", ignore_index=True)
        frame.insert(2, "timestamp", seconds(self.log, frame.pop("fine").to_numpy(np.float64)))
        if "origin" in frame:
            frame["origin"] = frame["origin"].replace("", "raw")
        return self.catalogue.with_(interactions=frame, users=pd.DataFrame({"user_id": ids}))


def unrolled(table: pa.Table, log: LogFile) -> pd.DataFrame:
    """A row an interaction, of a log with a row a user: the longest row of each, of which the others are beginnings."""
    frame = table.to_pandas()
    lengths = frame["items"].map(len)
    longest = frame.loc[lengths.groupby(frame["user"]).idxmax()].sort_values("row")
    whole = dict(zip(longest["user"], longest["items"], strict=True))
    if len(longest) < len(frame):
        for user, items in zip(frame["user"], frame["items"], strict=True):
            if list(whole[user][: len(items)]) != list(items):
                raise DataError(
                    f"{log.file}: user {user!r} has two rows of which neither continues the other; give a file whose "
                    "longest row of a user is the whole history"
                )
    sizes = longest["items"].map(len).to_numpy()
    n = int(sizes.sum())
    return pd.DataFrame(
        {
            "user": np.repeat(longest["user"].to_numpy(object), sizes),
            "item": np.concatenate(longest["items"].tolist()) if n else np.empty(0, object),
            "fine": _within(sizes).astype(np.float64),
            "value": np.ones(n, np.float32),
            "weight": np.ones(n, np.float32),
            "row": np.repeat(longest["row"].to_numpy(np.int64), sizes),
        }
    )


def _within(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
