"""Reads RecBole's atomic files: `.inter`, `.item` and `.user`, tab-separated, with a header of `name:type`.

Also the sequential form, where a row of `.inter` is a user, a list of items and the next item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ...errors import DataError
from .assemble import Twice, assemble
from .columns import ALIASES, INTERACTION_NAMES, located, require
from .dataset import PROVENANCE_COLUMNS, Dataset
from .delimited import ID, Format, header, read
from .files import File, one, within
from .markup import without_markup
from .times import from_numbers

TYPES = ("token", "token_seq", "float", "float_seq")
_SIDES = ("train", "valid", "test")


def read_atomic(
    path: str | Path,
    *,
    items: str | Path | None = None,
    users: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    names: tuple[str, ...] | None = None,
    quoted: bool = False,
    encoding: str = "utf-8",
    raw_texts: bool = False,
    twice: Twice = "error",
) -> Dataset:
    """The atomic files of a folder or zip, or one `.inter` file with the `.item` and `.user` of its name beside it.

    A folder may hold the log in parts (`name.train.inter`, `name.valid.inter`, `name.test.inter`): they are read as
    one log, in that order. `items` and `users` name the files where they lie elsewhere. `columns` maps `user_id`,
    `item_id`, `value`, `timestamp`, `item_id_list` to fields of another name. `names` is the header (`name:type`
    each) of an `.inter` file that has none.
    Ids are text, as RecBole's tokens are. In the sequential form a user's longest row is the history: all others have
    to be beginnings of it; position is the time. `title` and `categories` come from fields of that name or one of
    `columns.ALIASES`; categories are joined by ", ". `quoted`: fields may stand in double quotes (as pandas writes
    them); by default a quote is a quote.
    DataError names file, line and remedy.
    """
    logs, item_file, user_file = _files(path)
    form = Format("\t", quoted, encoding, names)
    parts = [_interactions(file, form, columns or {}) for file in logs]
    interactions = parts[0] if len(parts) == 1 else pd.concat([_plain(p) for p in parts], ignore_index=True)
    if "sequence" in interactions:
        interactions = _unrolled(interactions, logs)
    item_file = one(items) if items is not None else item_file
    user_file = one(users) if users is not None else user_file
    form = replace(form, names=None)
    return assemble(
        logs[0].name.split(".")[0],
        interactions,
        None if item_file is None else described(item_file, "item_id", form, columns or {}, raw_texts=raw_texts),
        None if user_file is None else described(user_file, "user_id", form, columns or {}),
        source=logs[0],
        items_source=item_file,
        users_source=user_file,
        twice=twice,
    )


def fields(file: File, form: Format) -> dict[str, tuple[str, str]]:
    """Name -> (column as the header writes it, type). DataError when the header is not of the form `name:type`."""
    columns = {}
    for column in header(file, form):
        name, _, kind = column.rpartition(":")
        if kind not in TYPES or not name:
            raise DataError(
                f"{file}: line 1: {column!r} is not of the form name:type with a type of {', '.join(TYPES)}; if the "
                f"file has no header, give one, as `header: [user_id:token, item_id_list:token_seq, item_id:token]`"
            )
        columns[name] = (column, kind)
    return columns


def _files(path: str | Path) -> tuple[list[File], File | None, File | None]:
    place = Path(path).expanduser()
    chosen: list[File] | None = None
    if place.is_file() and place.name.removesuffix(".gz").endswith(".inter"):
        chosen, beside = [one(place)], within(place.parent)
    else:
        beside = within(place)
        chosen = [file for file in beside if file.name.endswith(".inter")]
        chosen = [file for file in chosen if file.depth == chosen[0].depth]
    if not chosen:
        seen = ", ".join(file.name for file in beside[:8]) or "nothing"
        raise DataError(f"{path} holds no .inter file (found: {seen}); give the folder of the atomic files")
    stems = sorted({file.name.removesuffix(".gz").split(".")[0] for file in chosen})
    if len(stems) > 1:
        raise DataError(
            f"{path} holds the logs of several datasets ({', '.join(stems)}); give the path of one .inter file"
        )
    near = [file for file in beside if file.depth == chosen[0].depth]
    texts = [next((f for f in near if f.name == f"{stems[0]}.{kind}"), None) for kind in ("item", "user")]
    return sorted(chosen, key=_part), texts[0], texts[1]


def _part(file: File) -> int:
    return next((n for n, side in enumerate(_SIDES) if f".{side}." in file.name), len(_SIDES))


def _interactions(file: File, form: Format, columns: Mapping[str, str]) -> pd.DataFrame:
    known = fields(file, form)
    optional = ("item_id_list", "timestamp", "value", "weight", *PROVENANCE_COLUMNS)
    # One map serves all files of a dataset: keys of the tables beside it are passed over here.
    own = {ours: theirs for ours, theirs in columns.items() if ours not in ("title", "categories")}
    names = located(file, list(known), own, ("user_id", "item_id"), optional, known=INTERACTION_NAMES)
    places = {ours: known[theirs][0] for ours, theirs in names.items()}
    real = {"timestamp": pa.float64(), "value": pa.float32(), "weight": pa.float32(), "confidence": pa.float32()}
    kinds = {
        column: ID if ours in ("user_id", "item_id") else real.get(ours, pa.string()) for ours, column in places.items()
    }
    gaps = [column for ours, column in places.items() if ours == "confidence"]
    table = read(file, kinds, form, gaps=gaps).rename_columns(list(places))
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    if "item_id_list" in frame:
        return _sequences(frame)
    if "timestamp" in frame:
        try:
            frame["timestamp"], order = from_numbers(frame["timestamp"].to_numpy())
        except ValueError as error:
            raise DataError(f"{file}: column {places['timestamp']!r}: {error}; mend or remove the row") from error
        frame = frame if order is None else frame.take(order)
    return frame


def _sequences(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a user: the longest sequence, kept as a list until all parts are read."""
    if not len(frame):
        return pd.DataFrame({"user_id": [], "sequence": []})
    histories = [
        [*past.split(), last] for past, last in zip(frame["item_id_list"], frame["item_id"].astype(str), strict=True)
    ]
    return pd.DataFrame({"user_id": frame["user_id"].astype(str), "sequence": histories})


def _unrolled(rows: pd.DataFrame, files: list[File]) -> pd.DataFrame:
    longest: dict[str, list[str]] = {}
    for user, sequence in zip(rows["user_id"], rows["sequence"], strict=True):
        if len(sequence) > len(longest.get(user, ())):
            longest[user] = sequence
    for user, sequence in zip(rows["user_id"], rows["sequence"], strict=True):
        if longest[user][: len(sequence)] != sequence:
            raise DataError(
                f"{', '.join(map(str, files))}: user {user!r} has two rows of which neither continues the other; "
                f"give a file whose longest row of a user is the whole history"
            )
    lengths = [len(sequence) for sequence in longest.values()]
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.array(list(longest), dtype=object), lengths),
            "item_id": [item for sequence in longest.values() for item in sequence],
            "timestamp": np.concatenate([np.arange(n) for n in lengths]) if lengths else np.empty(0, np.int64),
        }
    )


def _plain(part: pd.DataFrame) -> pd.DataFrame:
    """Categories of two files differ, so ids become text before the parts are joined."""
    return part.assign(**{c: part[c].astype(str) for c in ("user_id", "item_id") if c in part})


def described(
    file: File, key: str, form: Format, columns: Mapping[str, str], *, raw_texts: bool = False
) -> pd.DataFrame:
    """A table of items or users (`key`: item_id or user_id), titles and categories under our names, without markup
    unless `raw_texts`."""
    known = fields(file, form)
    theirs = columns[key] if key in columns and columns[key] in known else key
    require(file, list(known), [theirs])
    kinds = {
        column: ID if name == theirs else pa.float64() if kind == "float" else pa.string()
        for name, (column, kind) in known.items()
    }
    # What nobody knows of an item (its price) is left empty in these files.
    gaps = [column for column, kind in kinds.items() if kind == pa.float64()]
    frame = read(file, kinds, form, gaps=gaps).to_pandas()
    frame.columns = pd.Index(list(known))
    names = {theirs: key}
    if key == "item_id":
        for ours in ("title", "categories"):
            usual = (columns[ours],) if ours in columns else (ours, *ALIASES[ours])
            present = next((name for name in usual if name in known), None)
            if present is not None:
                names[present] = ours
        seq = {ours for name, ours in names.items() if known[name][1] == "token_seq"}
        frame = frame.rename(columns=names)
        if "categories" in seq:
            frame["categories"] = _listed(frame["categories"].astype(str))
        return frame if raw_texts else without_markup(frame, key)
    return frame.rename(columns=names)


def _listed(texts: pd.Series) -> list[str]:
    """Categories joined by ", ". RecBole separates tokens by spaces; where a file uses `;`, `|` or `,` anywhere, its
    categories have spaces in them, and that sign separates."""
    sign = next((s for s in ";|," if texts.str.contains(re.escape(s)).any()), " ")
    return [", ".join(word.strip() for word in text.split(sign) if word.strip()) for text in texts]
