"""Maps the data's own ids to codes; the error for an unknown id names similar ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rapidfuzz import process

from ...errors import DataError
from ..data.dataset import Ints

NEAR = 3


def codes_of(wanted: Sequence[object], table: pd.DataFrame, column: str) -> Ints:
    """(n,) codes of the ids `wanted`, in their order; ids are compared as text.

    table: `column` holds the ids by code; a column `title` is searched for similar names, too. Raises DataError for an
    unknown id, naming similar ones, and for a repeated id.
    """
    ids_wanted = pd.Index([str(ident) for ident in wanted])
    codes = pd.Index(table[column]).get_indexer(ids_wanted)
    if (codes < 0).any():
        missing = ids_wanted[int(np.flatnonzero(codes < 0)[0])]
        raise DataError(f"{column} {missing!r} is not known to the model; near: {near(missing, table, column)}")
    if ids_wanted.has_duplicates:
        raise DataError(f"{column} {ids_wanted[ids_wanted.duplicated()][0]!r} is asked for twice; name it once")
    values: Ints = codes.astype(np.int32)
    return values


def near(missing: str, table: pd.DataFrame, column: str) -> str:
    """The ids with the most similar spelling, and for items those with the most similar title."""
    ids = [str(match[0]) for match in process.extract(missing, table[column], limit=NEAR)]
    titled = table[table["title"] != ""] if "title" in table else table.iloc[:0]
    matches = process.extract(missing, titled["title"], limit=NEAR, score_cutoff=75) if len(titled) else []
    named = [f"{titled[column][place]} ({title})" for title, _, place in matches]
    return ", ".join([*named, *ids][: NEAR + 1])
