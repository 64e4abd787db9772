"""Scoring of rankings that were made elsewhere: a table of user, item and rank or score, held against a split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import DataError
from ..data.dataset import Longs, Split
from .evaluation import Evaluation, Masks, assemble, beyond_accuracy, named
from .heldout import Side, held_out, known_at, known_to, pairs
from .metrics import Placement


def score_rankings(
    rankings: pd.DataFrame | Path,
    split: Split,
    *,
    metrics: Iterable[str] = ("recall@10", "ndcg@10"),
    side: Side = "test",
    mask_seen: bool = True,
    name: str | None = None,
    item_groups: Masks | None = None,
    user_groups: Masks | None = None,
    keep_topk: bool = False,
) -> Evaluation:
    """What rankings made by another program are worth on this split, under the protocol of `evaluate`.

    rankings: a table, or a `.csv`, `.tsv` or `.parquet` file, with `user_id` and `item_id` (the data's own ids,
        compared as text) and `rank` (1 is best; gaps and ties are allowed) or `score` (higher is better). Where both
        stand there the rank counts, and the score must not contradict it.
    mask_seen: items that the user is known to have seen are taken out before places are counted; how many is in the
        protocol (`rows_seen`).

    Users of the split without a list get 0, since nothing was recommended to them; how many is in the protocol
    (`users_without_list`). Lists of users with nothing held out are passed over. Ties count at their expected place.
    Raises DataError, naming the row, for a missing column, a score that contradicts its rank, an unknown id, a value
    that is not a number, or an item twice in one list.
    """
    wanted = named(metrics)
    source = str(rankings) if isinstance(rankings, Path) else "rankings"
    table = _read(rankings) if isinstance(rankings, Path) else rankings
    order = _order(table, source)
    user = _codes(table, "user_id", split.train.users, source)
    item = _codes(table, "item_id", split.train.items, source)
    n_items = split.train.n_items
    key = user * n_items + item
    twice = pd.Series(key).duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise DataError(
            f"{source}, row {row + 1}: item {table['item_id'].iloc[row]!r} stands twice in the list of user "
            f"{table['user_id'].iloc[row]!r}; keep one row a pair"
        )
    known = known_at(split, side)
    targets = held_out(split, side, None, known if mask_seen else None)
    counts = targets.counts()
    scored_rows = (counts[user] > 0) & (order > -np.inf)
    seen = np.zeros(len(key), bool)
    if mask_seen:
        seen_user, seen_item = pairs(known, targets.users)
        seen = np.isin(key, seen_user * n_items + seen_item)
    without = int((counts > 0).sum() - len(np.unique(user[scored_rows])))
    user, item, order = user[scored_rows & ~seen], item[scored_rows & ~seen], order[scored_rows & ~seen]
    user, item, above, tied = _placed(user, item, order)
    relevant = np.isin(user * n_items + item, targets.row * n_items + targets.item)
    placed = Placement(user[relevant], above[relevant], tied[relevant], counts)
    lists = _lists(user, item, len(counts), max(metric.k for metric in wanted))
    protocol = {
        "ranking": "given",
        "model": name or source,
        "side": side,
        "known": "train+valid" if side == "test" else "train",
        "seen_items": "masked" if mask_seen else "ranked",
        "ties": "expected",
        "items": n_items,
        "ordered_by": "rank" if "rank" in table else "score",
        "rows": len(table),
        "rows_seen": int((scored_rows & seen).sum()),
        "users_without_list": without,
    }
    return assemble(
        placed,
        item[relevant],
        targets,
        wanted,
        protocol,
        item_groups=item_groups or {},
        user_groups=user_groups or {},
        beyond=beyond_accuracy(lists, wanted, known_to(known), known.n_users),
        topk=lists if keep_topk else None,
    )


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix not in (".csv", ".tsv"):
        raise DataError(f"{path}: rankings are read from .csv, .tsv or .parquet, not from {path.suffix or 'this'!r}")
    # Ids stay text: "007" and "7" may be two items.
    ids = {"user_id": str, "item_id": str}
    try:
        return pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", dtype=ids, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table with one header line ({error}); save it as UTF-8 text") from error


def _order(table: pd.DataFrame, source: str) -> np.ndarray:
    """(n,) float64, higher is better."""
    missing = [column for column in ("user_id", "item_id") if column not in table]
    if missing:
        raise DataError(
            f"{source}: column {' and '.join(missing)} missing; it has {', '.join(map(str, table.columns))}"
        )
    if "rank" not in table and "score" not in table:
        raise DataError(f"{source}: has neither 'rank' nor 'score'; give the column that orders the items")
    column = "rank" if "rank" in table else "score"
    values = _numbers(table, column, source)
    if not len(values):
        raise DataError(f"{source}: no rows below the header; write one row a recommended item")
    wrong = np.flatnonzero((values < 1) | (values != np.floor(values))) if column == "rank" else np.empty(0, np.int64)
    if len(wrong):
        raise DataError(
            f"{source}, row {wrong[0] + 1}: rank {table[column].iloc[wrong[0]]} is not a whole number from 1 "
            "(the best); name the column 'score' where higher is better"
        )
    if column == "rank" and "score" in table:
        _agree(table, values, _numbers(table, "score", source), source)
    return -values if column == "rank" else values


def _numbers(table: pd.DataFrame, column: str, source: str) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(np.isnan(values))
    if len(wrong):
        raise DataError(f"{source}, row {wrong[0] + 1}: {column} {table[column].iloc[wrong[0]]!r} is not a number")
    return values


def _agree(table: pd.DataFrame, rank: np.ndarray, score: np.ndarray, source: str) -> None:
    """Raises DataError where an item stands behind another of its list and scores higher."""
    user = pd.factorize(table["user_id"])[0]
    order = np.lexsort((-score, rank, user))
    best = pd.Series(score[order]).groupby(user[order]).cummin().to_numpy()
    wrong = np.flatnonzero(score[order] > best)
    if len(wrong):
        row = int(order[wrong[0]])
        raise DataError(
            f"{source}, row {row + 1}: 'rank' and 'score' order the list of user {table['user_id'].iloc[row]!r} "
            "differently; keep the one column that orders the items"
        )


def _codes(table: pd.DataFrame, column: str, described: pd.DataFrame, source: str) -> Longs:
    codes = pd.Index(described[column].astype(str)).get_indexer(pd.Index(table[column].astype(str)))
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        raise DataError(
            f"{source}, row {unknown[0] + 1}: {column} {table[column].iloc[unknown[0]]!r} is not in the data "
            f"({len(unknown)} such rows); rank what the split holds, or drop these rows"
        )
    return codes.astype(np.int64)


def _placed(user: Longs, item: Longs, order: np.ndarray) -> tuple[Longs, Longs, Longs, Longs]:
    """Every row, sorted by user, then place, then item code, with how many rank above it and share its place."""
    sequence = np.lexsort((item, -order, user))
    user, item, order = user[sequence], item[sequence], order[sequence]
    begins = np.diff(user, prepend=-1) != 0
    begins[1:] |= order[1:] != order[:-1]
    first_of_tie = np.flatnonzero(begins)
    size = np.diff(first_of_tie, append=len(user))
    above = np.repeat(first_of_tie, size) - np.searchsorted(user, user)
    return user, item, above, np.repeat(size, size)


def _lists(user: Longs, item: Longs, n_users: int, depth: int) -> Longs:
    """(n_users, depth) item codes of rows sorted by user and place, -1 where a list is shorter."""
    lists = np.full((n_users, depth), -1, np.int64)
    first = np.searchsorted(user, user)
    place = np.arange(len(user)) - first
    lists[user[place < depth], place[place < depth]] = item[place < depth]
    return lists
