"""Writes a `Dataset` as a folder (Parquet, CSV or RecBole's atomic files) and restores it, column for column.

    folder/dataset.json                  name, format, kinds of the columns, fingerprint
    folder/interactions.parquet|csv      user_id, item_id, timestamp, value, weight and provenance, in order
    folder/items.*  users.*  pairs.*     the tables beside it; pairs only where agents stated some
    folder/item_vectors.npy              likewise user_vectors.npy

Atomic files are called name.inter, name.item, name.user and have `name:type` in their header.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from ...atomic import check_parents, disk_errors
from ...errors import ConfigError, DataError
from .dataset import Dataset, no_pairs
from .delimited import Format, read
from .files import File

Layout = Literal["parquet", "csv", "atomic"]
_MANIFEST = "dataset.json"
_ATOMIC = {"interactions": "inter", "items": "item", "users": "user", "pairs": "pairs"}
_NOTHING = "\\N"
"""A text that is missing, which CSV cannot tell from an empty one. A text that looks so gets one more backslash."""
_LIKE_NOTHING = re.compile(r"\\+N")


def write(data: Dataset, path: str | Path, format: Layout = "parquet", *, overwrite: bool = False) -> Path:
    """Write `data` as the folder `path` and return it; `read_written` gives an equal Dataset (same fingerprint).

    The folder appears whole or not at all. An existing one is replaced only with `overwrite`, and only if it is such a
    folder. DataError for a column that is neither number, truth value nor text, and for a path that is taken; RunError
    for what the disk refuses.
    """
    if format not in get_args(Layout):
        raise ConfigError(f"format {format!r}; write one of {', '.join(get_args(Layout))}")
    place = Path(path).expanduser()
    check_parents(place)
    if place.exists() and not (overwrite and (place / _MANIFEST).is_file()):
        written = (place / _MANIFEST).is_file()
        why = "choose another name, or replace it with --overwrite" if written else "choose a new folder"
        raise DataError(f"{place} exists already; {why}")
    tables = _tables(data)
    kinds = {name: {str(c): _kind(name, table[c]) for c in table} for name, table in tables.items()}
    stem = re.sub(r"[^\w.-]+", "-", data.name).split(".")[0] or "data"
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors(place):
            partial.mkdir(parents=True)
            for name, table in tables.items():
                _write_one(table, partial / _file_name(name, stem, format), kinds[name], format)
            for name in ("item_vectors", "user_vectors"):
                if (vectors := getattr(data, name)) is not None:
                    np.save(partial / f"{name}.npy", vectors)
            manifest = {"version": 1, "name": data.name, "stem": stem, "format": format, "columns": kinds}
            text = json.dumps(manifest | {"fingerprint": data.fingerprint}, indent=1)
            (partial / _MANIFEST).write_text(text, "utf-8")
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def read_written(path: str | Path, *, check: bool = True) -> Dataset:
    """The Dataset that `write` put into the folder `path`.

    DataError when the folder is none of `write`'s, a file is missing, or (with `check`) what is read is not what was
    written.
    """
    place = Path(path).expanduser()
    if not (place / _MANIFEST).is_file():
        raise DataError(
            f"{place}: no {_MANIFEST}; give a folder written by recloop, or read its files with another source"
        )
    try:
        manifest: dict[str, Any] = json.loads((place / _MANIFEST).read_text("utf-8"))
        stem, layout, columns = manifest["stem"], manifest["format"], manifest["columns"]
        name, fingerprint = manifest["name"], manifest["fingerprint"]
    except (ValueError, KeyError) as error:
        raise DataError(f"{place / _MANIFEST} is damaged ({error!r}); write the dataset again") from error
    tables = {
        table: _read_one(place / _file_name(table, stem, layout), kinds, layout) for table, kinds in columns.items()
    }
    interactions, items, users = tables["interactions"], tables["items"], tables["users"]
    user = _codes(interactions.pop("user_id"), users["user_id"], place)
    item = _codes(interactions.pop("item_id"), items["item_id"], place)
    interactions.insert(0, "user", user)
    interactions.insert(1, "item", item)
    data = Dataset(name, interactions, items, users, tables.get("pairs", no_pairs())).with_(
        interactions=interactions,
        item_vectors=_vectors(place / "item_vectors.npy"),
        user_vectors=_vectors(place / "user_vectors.npy"),
    )
    if check and data.fingerprint != fingerprint:
        raise DataError(
            f"{place} holds other data ({data.fingerprint}) than was written ({fingerprint}); write it again, "
            f"or read its files with `source: table`"
        )
    return data


def _tables(data: Dataset) -> dict[str, pd.DataFrame]:
    rows = data.interactions.drop(columns=["user", "item"])
    rows.insert(0, "user_id", data.users["user_id"].to_numpy()[data.user])
    rows.insert(1, "item_id", data.items["item_id"].to_numpy()[data.item])
    tables = {"interactions": rows, "items": data.items, "users": data.users}
    return tables | {"pairs": data.pairs} if len(data.pairs) else tables


def _kind(table: str, column: pd.Series) -> str:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.dtype.name
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return "str"
    if all(value is None or isinstance(value, str) or value is pd.NA or value != value for value in column):
        return "object"
    raise DataError(
        f"{table}: column {column.name!r} ({column.dtype}) is neither number, truth value nor text; convert or drop it"
    )


def _file_name(table: str, stem: str, layout: str) -> str:
    return f"{stem}.{_ATOMIC[table]}" if layout == "atomic" else f"{table}.{layout}"


def _write_one(table: pd.DataFrame, path: Path, kinds: dict[str, str], layout: str) -> None:
    if layout == "parquet":
        table.to_parquet(path, index=False)
        return
    plain = table.copy(deep=False)
    for column, kind in kinds.items():
        if kind in ("str", "object"):
            plain[column] = pd.Series([_escaped(value) for value in table[column]], dtype=object)
    plain.columns = pd.Index(_header(kinds, layout))
    write_delimited(plain, path, "\t" if layout == "atomic" else ",")


def _header(kinds: dict[str, str], layout: str) -> list[str]:
    if layout != "atomic":
        return list(kinds)
    # RecBole's own name for a value is rating; texts are sequences of tokens there, ids and the like single ones.
    words = ("title", "categories", "description", "tags", "semantics", "profile")
    return [
        f"{'rating' if name == 'value' else name}:"
        f"{'token_seq' if name in words else 'float' if _real(name, kind) else 'token'}"
        for name, kind in kinds.items()
    ]


def _real(name: str, kind: str) -> bool:
    return kind.startswith("float") or name == "timestamp"


def _read_one(path: Path, kinds: dict[str, str], layout: str) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} is missing; write the dataset again")
    if layout == "parquet":
        table = pd.read_parquet(path)
        return pd.DataFrame({c: table[c].astype(kind) for c, kind in kinds.items()}, copy=False)  # type: ignore[call-overload]
    names = _header(kinds, layout)
    form = Format("\t" if layout == "atomic" else ",")
    table = read(File(path), {name: pa.string() for name in names}, form).to_pandas()
    table.columns = pd.Index(list(kinds))
    return pd.DataFrame({c: _restored(table[c], kind) for c, kind in kinds.items()})


def _restored(column: pd.Series, kind: str) -> pd.Series:
    if kind == "bool":
        return column == "True"
    if kind not in ("str", "object"):
        return column.where(column != "", "nan").astype(kind)  # type: ignore[call-overload]
    return pd.Series([_unescaped(text) for text in column], dtype=kind)


def _escaped(value: object) -> str:
    if not isinstance(value, str):
        return _NOTHING
    return f"\\{value}" if _LIKE_NOTHING.fullmatch(value) else value


def _unescaped(text: str) -> str | None:
    if text == _NOTHING:
        return None
    return text[1:] if _LIKE_NOTHING.fullmatch(text) else text


def write_delimited(
    table: pd.DataFrame, path: Path, separator: str, header: bool = True, compression: Literal["gzip"] | None = None
) -> None:
    """Write a table as text: quotes only where needed, shortest numbers that read back as the same ones."""
    plain = table.copy(deep=False)
    for column in plain:
        if plain[column].dtype == np.float32:
            # Through float64 0.1 would become 0.10000000149011612.
            plain[column] = plain[column].astype(str).replace("nan", "")
    # Before Python 3.13 csv quotes a lone carriage return only where lines end in one.
    texts = [plain[c] for c in plain if plain[c].dtype.kind not in "biufM"]
    returns = any("\r" in value for column in texts for value in column if isinstance(value, str))
    plain.to_csv(
        path,
        sep=separator,
        index=False,
        header=header,
        encoding="utf-8",
        quoting=csv.QUOTE_MINIMAL,
        lineterminator="\r\n" if returns else "\n",
        compression=compression,
    )


def _codes(ids: pd.Series, known: pd.Series, place: Path) -> np.ndarray:
    codes = pd.Index(known).get_indexer(pd.Index(ids)).astype(np.int32)
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise DataError(
            f"{place}: row {row + 1} of the interactions names {ids.iloc[row]!r}, which no table lists; write it again"
        )
    return codes


def _vectors(path: Path) -> np.ndarray | None:
    return np.load(path) if path.is_file() else None
