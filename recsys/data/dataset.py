"""`Dataset`: interactions, items and users as columns, and what agents have added to them.

Everything that is trained on is a `Dataset`: the raw log, a refined one, a control edit. The two worlds of recloop meet
here as tables: agents fold their records into a new `Dataset`, recommenders read its arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import DataError

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)

INTERACTION_COLUMNS = ("user", "item", "timestamp", "value", "weight")
PROVENANCE_COLUMNS = ("origin", "agent", "confidence", "record")
"""Where a row comes from: `origin` (raw, generated, replaced, reweighted, control), the agent's name, its confidence in
[0, 1] (NaN: none stated) and the key of the record that says why. Absent columns mean that every row is raw."""

PAIR_COLUMNS = ("user", "preferred", "other", "weight", "agent", "record")
"""Preference pairs an agent stated: `user` would take item `preferred` before item `other`; weight in (0, 1]."""

SCORE_COLUMNS = ("user", "item", "score", "spread", "agent", "record")
"""Scores an agent gave to pairs: how much `user` would want `item`, in [0, 1], and the deviation over its draws (NaN:
one draw). Only models that are guided by scores read them."""


def no_pairs() -> pd.DataFrame:
    """An empty table of preference pairs, with the columns of `PAIR_COLUMNS`."""
    return pd.DataFrame(
        {
            "user": np.empty(0, np.int32),
            "preferred": np.empty(0, np.int32),
            "other": np.empty(0, np.int32),
            "weight": np.empty(0, np.float32),
            "agent": np.empty(0, object),
            "record": np.empty(0, object),
        }
    )


def no_scores() -> pd.DataFrame:
    """An empty table of scored pairs, with the columns of `SCORE_COLUMNS`."""
    kinds = (np.int32, np.int32, np.float32, np.float32, object, object)
    return pd.DataFrame({name: np.empty(0, kind) for name, kind in zip(SCORE_COLUMNS, kinds, strict=True)})


@dataclass(frozen=True)
class Dataset:
    """Interactions + items + users, immutable.

    interactions: one row an interaction, sorted by user, then timestamp, then the order of the source (stable on equal
        timestamps). Columns `user`, `item` (int32 codes, 0..n-1), `timestamp` (int64, unix seconds, or the position in
        the source where it knows order only), `value` (float32, the rating; 1 where the source has none), `weight`
        (float32, what the row counts in training; 1 for raw rows), and any of `PROVENANCE_COLUMNS`.
    items: row i is item i. `item_id` (the data's own), `title`, `categories` (both str, may be empty), and any other
        column the source has; `semantics` (str) where an agent has written it.
    users: row u is user u. `user_id` (the data's own), and any other column the source has; `profile` (str) where an
        agent has written it.
    pairs: preference pairs stated by agents, `PAIR_COLUMNS`.
    item_vectors, user_vectors: (n_items, d), (n_users, d) float32 initial vectors made from agents' texts, or None.
    scores: pairs scored by agents, `SCORE_COLUMNS`.
    left_out: how many rows of the source reading and filters left out, by reason (`duplicates`, `without_time`, ...).
        No part of the fingerprint.

    An edit makes a new Dataset (`with_`), over the same item and user codes.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    pairs: pd.DataFrame = field(default_factory=no_pairs)
    item_vectors: Floats | None = None
    user_vectors: Floats | None = None
    scores: pd.DataFrame = field(default_factory=no_scores)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        interactions: pd.DataFrame,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
    ) -> Dataset:
        """A Dataset from a table with `user_id`, `item_id` and, if known, `timestamp` and `value`.

        Ids become codes in the order of first appearance. Items and users that `items` / `users` list but no
        interaction names are left out; ids that they do not list get empty texts. Without `timestamp` the row order
        of the source is the time. Further columns of `interactions` are kept.
        Raises DataError when `items` or `users` hold an id twice.
        """
        user, user_ids = pd.factorize(interactions["user_id"])
        item, item_ids = pd.factorize(interactions["item_id"])
        n = len(interactions)
        frame = pd.DataFrame(
            {
                "user": user.astype(np.int32),
                "item": item.astype(np.int32),
                "timestamp": _column(interactions, "timestamp", np.arange(n), np.int64),
                "value": _column(interactions, "value", np.ones(n, np.float32), np.float32),
                "weight": _column(interactions, "weight", np.ones(n, np.float32), np.float32),
            },
            copy=False,
        )
        for extra in interactions.columns.difference([*INTERACTION_COLUMNS, "user_id", "item_id"], sort=False):
            frame[extra] = interactions[extra].to_numpy()
        item_table = _described("item_id", item_ids, items)
        for text in ("title", "categories"):
            item_table[text] = item_table[text].fillna("").astype(str) if text in item_table else ""
        return cls(name, _sorted(frame), item_table, _described("user_id", user_ids, users))

    def __post_init__(self) -> None:
        missing = [c for c in INTERACTION_COLUMNS if c not in self.interactions]
        if missing:
            raise DataError(f"dataset {self.name!r}: interactions lack the column(s) {', '.join(missing)}")

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def __len__(self) -> int:
        return len(self.interactions)

    @cached_property
    def user(self) -> Ints:
        """(n,) user codes, ascending."""
        return _frozen(self.interactions["user"].to_numpy(np.int32))

    @cached_property
    def item(self) -> Ints:
        """(n,) item codes; a user's are in order of time."""
        return _frozen(self.interactions["item"].to_numpy(np.int32))

    @cached_property
    def timestamp(self) -> Longs:
        """(n,) unix seconds, or positions where the source knows order only."""
        return _frozen(self.interactions["timestamp"].to_numpy(np.int64))

    @cached_property
    def value(self) -> Floats:
        """(n,) ratings, 1 where the source has none."""
        return _frozen(self.interactions["value"].to_numpy(np.float32))

    @cached_property
    def weight(self) -> Floats:
        """(n,) what a row counts in training, >= 0; 1 for raw rows."""
        return _frozen(self.interactions["weight"].to_numpy(np.float32))

    @cached_property
    def indptr(self) -> Longs:
        """(n_users + 1,) user u's rows are indptr[u]:indptr[u + 1]."""
        counts = np.bincount(self.user, minlength=self.n_users)
        return _frozen(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @cached_property
    def item_counts(self) -> Longs:
        """(n_items,) how many interactions each item has here: its popularity."""
        return _frozen(np.bincount(self.item, minlength=self.n_items).astype(np.int64))

    @cached_property
    def user_counts(self) -> Longs:
        """(n_users,) how many interactions each user has here: the history's length."""
        return _frozen(np.diff(self.indptr))

    def history(self, user: int) -> Ints:
        """The items of one user, oldest first."""
        return self.item[self.indptr[user] : self.indptr[user + 1]]

    def rows(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """The interactions where mask (n,) is true, over the same users and items."""
        return self.with_(interactions=self.interactions[mask].reset_index(drop=True))

    def with_(self, **changes: object) -> Dataset:
        """A copy with these fields replaced; new interactions are put in order first."""
        if isinstance(changes.get("interactions"), pd.DataFrame):
            changes["interactions"] = _sorted(changes["interactions"])  # type: ignore[arg-type]
        return replace(self, **changes)  # type: ignore[arg-type]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (16 hex digits) over every column; equal data has equal fingerprints on every machine."""
        digest = hashlib.sha256()
        # Scores came later than the other tables: without any, the fingerprint is what it always was.
        for table in (
            self.interactions,
            self.items,
            self.users,
            self.pairs,
            *([self.scores] if len(self.scores) else []),
        ):
            for column in sorted(table.columns):
                digest.update(column.encode())
                digest.update(pd.util.hash_array(_hashable(table[column])).tobytes())
        for vectors in (self.item_vectors, self.user_vectors):
            digest.update(b"-" if vectors is None else np.ascontiguousarray(vectors).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Split:
    """Train, validation and test sides of one Dataset, over the same users and items.

    An agent is handed `train` only: that is the leakage firewall. `valid` chooses epochs and settings, `test` is
    read once.
    """

    train: Dataset
    valid: Dataset
    test: Dataset


def together(first: Dataset, second: Dataset) -> Dataset:
    """The interactions of two sides of one split as one Dataset (train + valid: the history known at test time)."""
    both = pd.concat([first.interactions, second.interactions], ignore_index=True)
    # Both are sorted: a stable sort by user merges two runs, and leaves little to do where the second side is later.
    return first.with_(interactions=both.take(np.argsort(both["user"].to_numpy(), kind="stable")))


def _column(table: pd.DataFrame, name: str, default: npt.NDArray[np.generic], dtype: type) -> npt.NDArray[np.generic]:
    return table[name].to_numpy(dtype) if name in table else default.astype(dtype, copy=False)


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    user, timestamp = frame["user"].to_numpy(), frame["timestamp"].to_numpy()
    same = user[1:] == user[:-1]
    if np.all(user[1:] >= user[:-1]) and np.all(timestamp[1:][same] >= timestamp[:-1][same]):
        return frame.reset_index(drop=True)
    return frame.take(np.lexsort((timestamp, user))).reset_index(drop=True)


def _described(key: str, ids: pd.Index, table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame({key: ids})
    twice = table[key].duplicated()
    if twice.any():
        raise DataError(
            f"{key} {table[key][twice].iloc[0]!r} stands {int((table[key] == table[key][twice].iloc[0]).sum())} times "
            f"in the {key.removesuffix('_id')} table; keep one row an id"
        )
    return table.set_index(key).reindex(ids).rename_axis(key).reset_index()


def _frozen(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view


def _hashable(column: pd.Series) -> npt.NDArray[np.generic]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufM":
        return column.to_numpy()
    return column.astype(str).to_numpy(object)
