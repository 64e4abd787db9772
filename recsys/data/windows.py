"""Reads windows of users' sequences with planted noise, and keeps what is known of the noise apart from them.

The files of `amazon-toys-noise`: a CSV row is one window, its lists are Python literals, the last item is the target.
Row k of a noisy file is row k of the clean one with some items replaced. A window becomes a user of the Dataset, so
that whatever works on users' histories works on windows; whose window it is stands in the users' column `owner`.
"""

from __future__ import annotations

import ast
import csv
import html
import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import DataError
from .dataset import Dataset
from .files import name_of

Bools = npt.NDArray[np.bool_]
COLUMNS = ("user_id", "item_ids", "item_titles", "timestamp")
MASK = "mask"
NAMES = "id2name.json"
SIDES = ("train_5000", "valid", "test")
"""The files of a folder, in order of time: the publisher split the windows by the time of their last item."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the noise, row by row of the Dataset that was read with it. It is no part of that Dataset."""

    planted: Bools
    """(n,) true where an item stands that the source says was put in another's place."""

    def of(self, rows: Bools) -> Truth:
        """That of the rows where `rows` (n,) is true."""
        return Truth(self.planted[rows])


def read_windows(path: str | Path, names: str | Path | None = None) -> Dataset:
    """The windows of a CSV file, or of `SIDES` in a folder, without the mask. Users are called `<file>:<row>`.

    names: the JSON file of titles by item id; else `id2name.json` in the folder of the file or the one above. An item
    that it lacks is named as the windows name it. Rows are in the order of the window, `timestamp` is the place in
    it; `users` holds `owner` (whose window) and `moment` (unix seconds of the last item). DataError names file, row and
    field.
    """
    return _read(Path(path).expanduser(), names)[0]


def read_planted(path: str | Path, names: str | Path | None = None) -> tuple[Dataset, Truth]:
    """The same, and the truth beside it: for those who measure, never for those who are measured."""
    data, masks = _read(Path(path).expanduser(), names)
    return data, Truth(np.array(masks, bool))


def side_of(data: Dataset, side: str) -> Bools:
    """(n,) the rows of windows that come from the file of this name, as `test`."""
    of = data.users["user_id"].str.startswith(f"{side}:").to_numpy(bool)
    if not of.any():
        raise DataError(f"dataset {data.name!r} has no windows of {side!r}; read the folder that holds {side}.csv")
    return of[data.user]


def _read(place: Path, names: str | Path | None) -> tuple[Dataset, list[int]]:
    files = (
        [place / f"{side}.csv" for side in SIDES if (place / f"{side}.csv").is_file()] if place.is_dir() else [place]
    )
    if not files or not all(file.is_file() for file in files):
        raise DataError(
            f"{place}: no windows; give a CSV file, or a folder with {', '.join(f'{s}.csv' for s in SIDES)}"
        )
    titles = _titles(files[0], names)
    users: dict[str, list[Any]] = {"user_id": [], "owner": [], "moment": []}
    items: list[list[int]] = []
    masks: list[int] = []
    for file in files:
        for at, row in _rows(file):
            ids, called = _list(file, at, row, "item_ids"), _list(file, at, row, "item_titles")
            mask = _list(file, at, row, MASK) if row.get(MASK) else [0] * len(ids)
            if not ids or len(called) != len(ids) or len(mask) != len(ids):
                raise DataError(
                    f"{file}: row {at}: item_ids, item_titles and mask have {len(ids)}, {len(called)} and "
                    f"{len(mask)} entries; a window names each of its items once in all of them"
                )
            for item, title in zip(ids, called, strict=True):
                titles.setdefault(int(item), str(title))
            users["user_id"].append(f"{file.stem}:{at}")
            users["owner"].append(row["user_id"])
            users["moment"].append(int(row["timestamp"]))
            items.append([int(item) for item in ids])
            masks += [int(value) for value in mask]
    sizes = np.array([len(window) for window in items])
    rows = pd.DataFrame(
        {
            "user_id": np.repeat(np.array(users["user_id"], object), sizes),
            "item_id": np.fromiter(chain.from_iterable(items), np.int64, int(sizes.sum())),
            "timestamp": np.concatenate([np.arange(size) for size in sizes]),
        }
    )
    known = pd.unique(rows["item_id"])
    table = pd.DataFrame({"item_id": known, "title": [html.unescape(titles[item]).strip() for item in known]})
    return Dataset.of(f"{place.resolve().parent.name}-{name_of(place)}", rows, table, pd.DataFrame(users)), masks


def _titles(file: Path, names: str | Path | None) -> dict[int, str]:
    """Item id -> title. Two ids of one title are told apart by nobody; the windows' own ids stay."""
    near = [file.parent / NAMES, file.parent.parent / NAMES] if names is None else [Path(names).expanduser()]
    file_of_titles = next((path for path in near if path.is_file()), None)
    if file_of_titles is None:
        if names is not None:
            raise DataError(f"{names}: no such file of titles; leave it out to take the titles from the windows")
        return {}
    try:
        return {int(ident): str(title) for ident, title in json.loads(file_of_titles.read_text("utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise DataError(f"{file_of_titles}: not a JSON object of titles by item id ({error})") from error


def _rows(file: Path) -> Any:
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if absent:
            raise DataError(f"{file}: no column {absent[0]!r}; windows have {', '.join(COLUMNS)}")
        yield from enumerate(reader)


def _list(file: Path, at: int, row: dict[str, str], name: str) -> list[Any]:
    try:
        entries = ast.literal_eval(row[name])
    except (ValueError, SyntaxError, TypeError) as error:
        raise DataError(f"{file}: row {at}: {name} is not a list ({error})") from error
    if not isinstance(entries, list):
        raise DataError(f"{file}: row {at}: {name} is a {type(entries).__name__}, not a list")
    return entries
