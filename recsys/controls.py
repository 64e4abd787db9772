"""Control edits: as many changes to the data as an agent made, chosen without reading anything.

A gain of refined data over raw data proves little: dropping, adding or re-weighting rows regularises whatever the rows.
`random_edit` makes the same changes to rows, items and users drawn at random, `popularity_edit` to ones of the same
popularity. What both keep and what they draw afresh:

| an agent's edit           | random                                    | popularity                             |
|---------------------------|-------------------------------------------|----------------------------------------|
| rows removed              | as many rows, of any user                 | as many rows of each item bucket       |
| items replaced in a row   | as many rows, unseen random items instead | same buckets of old and new item       |
| rows added                | same users and times, unseen random items | unseen items of the same bucket        |
| weights changed           | the same weights on random rows           | on rows of the same bucket             |
| preference pairs          | same users; own item before an unseen one | both items of the same buckets         |
| scores of pairs           | same pairs, the scores dealt anew         | among pairs whose items share a bucket |
| item vectors, `semantics` | moved to random items                     | to items of the same bucket            |
| user vectors, `profile`   | moved to random users                     | to users of the same bucket            |

A bucket is a decile of items by interactions in `raw` (of users by history length); equal counts share a bucket. A
draw may fall on what the agent itself chose: a control that avoided it would be worse than chance. Rows are drawn from
all users, so a control also tells whether the agent was right about *whom* to edit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from .data.dataset import INTERACTION_COLUMNS, PAIR_COLUMNS, SCORE_COLUMNS, Dataset, Floats

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

BUCKETS = 10
TEXTS = {"items": "semantics", "users": "profile"}
"""The columns that agents write; they move together with the vectors made from them."""
ATTEMPTS = 16
"""Blind draws of an unseen item before the unseen ones are listed, which only users who know most of a bucket need."""


def random_edit(raw: Dataset, refined: Dataset, rng: np.random.Generator) -> Dataset:
    """`raw` with the edits that led to `refined`, on rows, items and users drawn at random; the table above says how.

    Touched rows have origin `control` and agent `random_edit`. No edit gives `raw` itself. Equal generators give equal
    controls. Raises DataError when the two are not over the same users and items, or a user has no unseen item left.
    """
    anything = np.zeros(raw.n_items, np.int64), np.zeros(raw.n_users, np.int64)
    return _edited("random_edit", raw, refined, rng, *anything)


def popularity_edit(raw: Dataset, refined: Dataset, rng: np.random.Generator) -> Dataset:
    """`raw` with the edits that led to `refined`, on others of the same popularity; else as `random_edit`.

    Where a user has no unseen item in a bucket (or, for the preferred item of a pair, no own one), the nearest bucket
    that has one stands in.
    """
    buckets = popularity_buckets(raw.item_counts), popularity_buckets(raw.user_counts)
    return _edited("popularity_edit", raw, refined, rng, *buckets)


def edit_size(raw: Dataset, refined: Dataset) -> dict[str, int]:
    """How many edits lead from `raw` to `refined`, by kind.

    `removed`, `added` rows (a replaced item is one of each), `reweighted` rows, `pairs` stated, `scores` given, and
    rows of `item_vectors`, `user_vectors`, `semantics`, `profile` that differ. A row is known by user, item and
    timestamp.
    """
    _same_codes(raw, refined)
    rows = _row_edits(raw, refined)
    sizes = {
        "removed": int((rows.removed | (rows.replaced >= 0)).sum()),
        "added": int(len(rows.added) + (rows.replaced >= 0).sum()),
        "reweighted": int((~np.isnan(rows.weight)).sum()),
        "pairs": len(_new_pairs(raw, refined)),
        "scores": len(_new_scores(raw, refined)),
    }
    for table, side in (("items", "item_vectors"), ("users", "user_vectors")):
        changed = _vectors_changed(len(getattr(raw, table)), getattr(raw, side), getattr(refined, side))
        sizes[side] = int(changed.sum())
        sizes[TEXTS[table]] = int(_texts_changed(table, raw, refined).sum())
    return sizes


def popularity_buckets(counts: npt.NDArray[np.integer], buckets: int = BUCKETS) -> Indices:
    """(n,) bucket 0 (rare) to buckets - 1 (popular) of each count; cut at quantiles, equal counts share a bucket."""
    if len(counts) == 0:
        return np.empty(0, np.int64)
    cuts = np.quantile(counts, np.arange(1, buckets) / buckets, method="inverted_cdf")
    return np.searchsorted(np.unique(cuts), counts, side="left").astype(np.int64)


@dataclass(frozen=True, slots=True)
class _RowEdits:
    """What became of each row of raw (n,), and which rows of refined are new."""

    removed: Bools
    replaced: Indices
    """The row of refined that stands in its place (same user and time, another item), or -1."""
    weight: Floats
    """The new weight, or NaN where it did not change."""
    added: Indices


def _row_edits(raw: Dataset, refined: Dataset) -> _RowEdits:
    kept = _matches(raw.interactions, refined.interactions, ["user", "item", "timestamp"])
    gone = np.flatnonzero(kept < 0)
    new = np.setdiff1d(np.arange(len(refined)), kept[kept >= 0])
    place = _matches(raw.interactions.iloc[gone], refined.interactions.iloc[new], ["user", "timestamp"])
    replaced = np.full(len(raw), -1, np.int64)
    replaced[gone[place >= 0]] = new[place[place >= 0]]
    after = np.where(kept >= 0, refined.weight[kept] if len(refined) else 0, raw.weight)
    return _RowEdits(
        removed=(kept < 0) & (replaced < 0),
        replaced=replaced,
        weight=np.where(after == raw.weight, np.nan, after).astype(np.float32),
        added=np.setdiff1d(new, replaced),
    )


def _matches(left: pd.DataFrame, right: pd.DataFrame, key: list[str]) -> Indices:
    """(len(left),) the position in `right` of the row with the same key, or -1; the k-th alike meets the k-th alike."""
    sides = [table[key].assign(alike=table.groupby(key).cumcount()) for table in (left, right)]
    sides[1]["position"] = np.arange(len(right))
    found = sides[0].merge(sides[1], how="left", on=[*key, "alike"])["position"]
    return found.fillna(-1).to_numpy(np.int64)


def _edited(
    name: str, raw: Dataset, refined: Dataset, rng: np.random.Generator, item_bucket: Indices, user_bucket: Indices
) -> Dataset:
    if not any(edit_size(raw, refined).values()):
        return raw
    shop = _Unseen(raw, item_bucket, rng)
    changes: dict[str, object] = {}
    rows = _row_edits(raw, refined)
    if rows.removed.any() or (rows.replaced >= 0).any() or len(rows.added) or not np.isnan(rows.weight).all():
        changes["interactions"] = _edited_rows(name, raw, refined, rows, shop, rng)
    pairs = _new_pairs(raw, refined)
    if len(pairs):
        drawn = _drawn_pairs(name, raw, pairs, shop, rng)
        changes["pairs"] = pd.concat([raw.pairs, drawn], ignore_index=True) if len(raw.pairs) else drawn
    scores = _new_scores(raw, refined)
    if len(scores):
        dealt = _dealt_scores(name, scores, item_bucket, rng)
        changes["scores"] = pd.concat([raw.scores, dealt], ignore_index=True) if len(raw.scores) else dealt
    changes |= _moved("items", "item_vectors", raw, refined, _shuffled(item_bucket, rng))
    changes |= _moved("users", "user_vectors", raw, refined, _shuffled(user_bucket, rng))
    return raw.with_(**changes)


def _edited_rows(
    name: str, raw: Dataset, refined: Dataset, rows: _RowEdits, shop: _Unseen, rng: np.random.Generator
) -> pd.DataFrame:
    # Fates are dealt anew among rows of one bucket and one raw weight, so each kind keeps its number exactly: a new
    # weight never lands on a row that had it already.
    _, weight = np.unique(raw.weight, return_inverse=True)
    dealt = _shuffled(shop.bucket[raw.item] * (weight.max(initial=0) + 1) + weight, rng)
    removed, replaced, weights = rows.removed[dealt], rows.replaced[dealt], rows.weight[dealt]
    swapped, weighed = np.flatnonzero(replaced >= 0), ~np.isnan(weights)
    frame = _with_provenance(raw.interactions)
    frame["weight"] = np.where(weighed, weights, raw.weight)
    stand_ins = refined.interactions.iloc[replaced[swapped]].reset_index(drop=True)
    stand_ins = stand_ins.assign(user=raw.user[swapped], timestamp=raw.timestamp[swapped])
    newcomers = pd.concat([stand_ins, refined.interactions.iloc[rows.added]], ignore_index=True)
    newcomers = newcomers.astype(raw.interactions.dtypes[list(INTERACTION_COLUMNS)].to_dict())
    wanted = newcomers["item"].to_numpy()
    users = newcomers["user"].to_numpy()
    newcomers["item"] = np.array([shop.take(u, i) for u, i in zip(users, wanted, strict=True)], np.int32)
    newcomers = _signed(name, _with_provenance(newcomers), np.ones(len(newcomers), bool))
    untouched = _signed(name, frame, weighed)[~(removed | (replaced >= 0))]
    return pd.concat([part for part in (untouched, newcomers) if len(part)] or [untouched], ignore_index=True)


def _with_provenance(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy that has every provenance column; what was not said is raw."""
    frame = frame.copy()
    for column, blank in (("origin", "raw"), ("agent", ""), ("confidence", np.float32(np.nan)), ("record", "")):
        if column not in frame:
            frame[column] = blank
    return frame


def _signed(name: str, frame: pd.DataFrame, touched: Bools) -> pd.DataFrame:
    """The frame with the touched rows signed by the control of this name."""
    frame.loc[touched, ["origin", "agent", "record"]] = ["control", name, ""]
    frame.loc[touched, "confidence"] = np.nan
    return frame


class _Unseen:
    """Deals items that a user has not in `raw` and was not dealt before, from the bucket of a given item."""

    def __init__(self, raw: Dataset, bucket: Indices, rng: np.random.Generator) -> None:
        self.raw, self.bucket, self.rng = raw, bucket, rng
        self.members = [np.flatnonzero(bucket == b) for b in range(bucket.max(initial=-1) + 1)]
        self.seen: dict[int, set[int]] = {}

    def take(self, user: int, like: int) -> int:
        """An item like `like` that from now on counts as seen by the user."""
        item = self.show(user, like)
        self.seen[user].add(item)
        return item

    def show(self, user: int, like: int) -> int:
        """An item like `like`, of the nearest bucket that has an unseen one."""
        seen = self.seen.setdefault(user, set(self.raw.history(user).tolist()))
        for bucket in np.argsort(np.abs(np.arange(len(self.members)) - self.bucket[like]), kind="stable"):
            members = self.members[bucket]
            for item in self.rng.choice(members, ATTEMPTS).tolist() if len(members) else []:
                if item not in seen:
                    return item
            left = np.setdiff1d(members, np.fromiter(seen, np.int64, len(seen)))
            if len(left):
                return int(self.rng.choice(left))
        raise DataError(
            f"dataset {self.raw.name!r}: user {self.raw.users['user_id'].iloc[user]!r} (code {user}) has all "
            f"{self.raw.n_items} items, so no control can give them an unseen one; leave such users out"
        )


def _new_pairs(raw: Dataset, refined: Dataset) -> pd.DataFrame:
    old = _matches(raw.pairs, refined.pairs, ["user", "preferred", "other"])
    return refined.pairs.iloc[np.setdiff1d(np.arange(len(refined.pairs)), old)]


def _drawn_pairs(name: str, raw: Dataset, pairs: pd.DataFrame, shop: _Unseen, rng: np.random.Generator) -> pd.DataFrame:
    preferred, other = [], []
    for user, liked, left in pairs[["user", "preferred", "other"]].to_numpy().tolist():
        own = raw.history(user)
        distance = np.abs(shop.bucket[own] - shop.bucket[liked])
        # A user without history has no own item to prefer: an unseen one stands for it.
        near = own[distance == distance.min()] if len(own) else [shop.show(user, liked)]
        preferred.append(rng.choice(near))
        other.append(shop.show(user, left))
    columns = {"preferred": np.array(preferred, np.int32), "other": np.array(other, np.int32)}
    return pairs.assign(**columns, agent=name, record="")[list(PAIR_COLUMNS)].reset_index(drop=True)


def _new_scores(raw: Dataset, refined: Dataset) -> pd.DataFrame:
    old = _matches(raw.scores, refined.scores, ["user", "item", "score"])
    return refined.scores.iloc[np.setdiff1d(np.arange(len(refined.scores)), old)]


def _dealt_scores(name: str, scores: pd.DataFrame, bucket: Indices, rng: np.random.Generator) -> pd.DataFrame:
    """The same pairs; which score goes to which is drawn among pairs whose items share a bucket."""
    dealt = _shuffled(bucket[scores["item"].to_numpy()], rng)
    told = {column: scores[column].to_numpy()[dealt] for column in ("score", "spread")}
    return scores.assign(**told, agent=name, record="")[list(SCORE_COLUMNS)].reset_index(drop=True)


def _moved(table: str, side: str, raw: Dataset, refined: Dataset, dealt: Indices) -> dict[str, object]:
    """The changed fields: edited row `dealt[i]` of refined now describes row i; the unedited stay as they were."""
    changes: dict[str, object] = {}
    before, after = getattr(raw, side), getattr(refined, side)
    changed = _vectors_changed(len(dealt), before, after)[dealt]
    if changed.any():
        changes[side] = after[dealt] if changed.all() else np.where(changed[:, None], after[dealt], before)
    column = TEXTS[table]
    rewritten = _texts_changed(table, raw, refined)[dealt]
    if rewritten.any():
        texts = _texts(table, refined)[dealt]
        changes[table] = getattr(raw, table).assign(**{column: np.where(rewritten, texts, _texts(table, raw))})
    return changes


def _vectors_changed(rows: int, before: Floats | None, after: Floats | None) -> Bools:
    if after is None:
        return np.zeros(rows, bool)
    if before is None or before.shape != after.shape:
        return np.ones(rows, bool)
    return np.asarray((before != after).any(1))


def _texts_changed(table: str, raw: Dataset, refined: Dataset) -> Bools:
    return np.asarray(_texts(table, raw) != _texts(table, refined))


def _texts(table: str, data: Dataset) -> npt.NDArray[np.object_]:
    frame: pd.DataFrame = getattr(data, table)
    column = TEXTS[table]
    blank = pd.Series("", index=frame.index, dtype=object)
    return (frame[column].fillna("") if column in frame else blank).to_numpy(object)


def _shuffled(bucket: Indices, rng: np.random.Generator) -> Indices:
    """(n,) a random permutation of 0..n-1 that stays within buckets."""
    dealt = np.empty(len(bucket), np.int64)
    dealt[np.argsort(bucket, kind="stable")] = np.lexsort((rng.random(len(bucket)), bucket))
    return dealt


def _same_codes(raw: Dataset, refined: Dataset) -> None:
    for key, before, after in (("item_id", raw.items, refined.items), ("user_id", raw.users, refined.users)):
        if len(before) != len(after) or not (before[key].to_numpy() == after[key].to_numpy()).all():
            raise DataError(
                f"datasets {raw.name!r} and {refined.name!r} list different {key}s; make the refined one with "
                "raw.with_(...), which keeps the codes"
            )
