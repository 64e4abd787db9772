"""`PairScores`: LLM scores of single (user, item) pairs, their Parquet file, and control scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...atomic import write_whole
from ...errors import DataError
from ..data.dataset import Dataset, Floats, Ints

Longs = npt.NDArray[np.int64]
FILE_COLUMNS = ("user_id", "item_id", "score", "spread")


@dataclass(frozen=True)
class PairScores:
    """Scored pairs, sorted by user, then item, without duplicates.

    user, item: (n,) codes. score: (n,) in [0, 1], the mean over LLM samples. spread: (n,) standard deviation over
    samples, NaN with a single sample.
    """

    user: Ints
    item: Ints
    score: Floats
    spread: Floats

    @classmethod
    def of(cls, table: pd.DataFrame) -> PairScores:
        """From columns `user`, `item`, `score` and optionally `spread`; duplicate pairs are averaged.

        Raises DataError for a missing column and for a score outside [0, 1].
        """
        missing = [column for column in ("user", "item", "score") if column not in table]
        if missing:
            raise DataError(f"pair scores lack the column(s) {', '.join(missing)}; write user, item and score")
        wrong = ~table["score"].between(0, 1)
        if wrong.any():
            raise DataError(
                f"pair scores: row {int(np.flatnonzero(wrong)[0])} has score {float(table['score'][wrong].iloc[0]):g}; "
                "scores lie in [0, 1]: scale them first"
            )
        spread = table["spread"] if "spread" in table else pd.Series(np.nan, index=table.index)
        frame = table[["user", "item", "score"]].assign(spread=spread.astype(np.float64))
        one = frame.groupby(["user", "item"], as_index=False, sort=True).mean()
        columns = [
            one[name].to_numpy(kind)
            for name, kind in zip(one, (np.int32, np.int32, np.float32, np.float32), strict=True)
        ]
        return cls(*columns)

    def __len__(self) -> int:
        return len(self.score)

    def first(self, n_users: int) -> Longs:
        """(n_users + 1,) offsets: the rows of user u are first[u]:first[u + 1]."""
        return np.searchsorted(self.user, np.arange(n_users + 1)).astype(np.int64)

    def rows(self, mask: npt.NDArray[np.bool_]) -> PairScores:
        return PairScores(self.user[mask], self.item[mask], self.score[mask], self.spread[mask])

    def with_scores(self, score: npt.NDArray[np.floating]) -> PairScores:
        """The same pairs with other scores (n,) and unknown spread."""
        return PairScores(self.user, self.item, score.astype(np.float32), np.full(len(self), np.nan, np.float32))


def write_scores(scores: PairScores, data: Dataset, path: Path) -> None:
    """Writes a Parquet file (`FILE_COLUMNS`) with the data's own ids, atomically."""
    table = pd.DataFrame(
        {
            "user_id": data.users["user_id"].to_numpy()[scores.user],
            "item_id": data.items["item_id"].to_numpy()[scores.item],
            "score": scores.score,
            "spread": scores.spread,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: table.to_parquet(file, index=False))


def read_scores(path: Path, data: Dataset) -> PairScores:
    """Reads a Parquet file with `FILE_COLUMNS`, of which `spread` is optional.

    Pairs with a user or item that the data does not have are left out; DataError if none are left.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: pair scores cannot be read ({error}); name a Parquet file") from error
    missing = [column for column in FILE_COLUMNS[:3] if column not in table]
    if missing:
        raise DataError(f"{path}: lacks the column(s) {', '.join(missing)}; write {', '.join(FILE_COLUMNS)}")
    table["user"] = pd.Index(data.users["user_id"].astype(str)).get_indexer(pd.Index(table["user_id"].astype(str)))
    table["item"] = pd.Index(data.items["item_id"].astype(str)).get_indexer(pd.Index(table["item_id"].astype(str)))
    known = table[(table["user"] >= 0) & (table["item"] >= 0)].reset_index(drop=True)
    if known.empty:
        raise DataError(
            f"{path}: none of its {len(table)} pairs is of dataset {data.name!r}; give the scores of this data"
        )
    return PairScores.of(known)


def random_scores(scores: PairScores, rng: np.random.Generator) -> PairScores:
    """The same pairs with scores sampled with replacement from all scores: only their distribution is kept."""
    return scores.with_scores(rng.choice(scores.score, len(scores)))


def shuffled_scores(scores: PairScores, rng: np.random.Generator) -> PairScores:
    """The same pairs with each user's scores permuted among that user's items."""
    order = np.lexsort((rng.random(len(scores)), scores.user))
    return scores.with_scores(scores.score[order])


def popularity_scores(scores: PairScores, train: Dataset) -> PairScores:
    """The same pairs with each user's scores reassigned by popularity in train, highest to most popular."""
    by_score = np.lexsort((scores.score, scores.user))
    by_count = np.lexsort((train.item_counts[scores.item], scores.user))
    score = np.empty(len(scores), np.float32)
    score[by_count] = scores.score[by_score]
    return scores.with_scores(score)
