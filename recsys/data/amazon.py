"""Reads Amazon Reviews of 2014, 2018 (`reviewerID`, `asin`) and 2023 (`user_id`, `parent_asin`), one record a line.

Files may be plain or `.gz`. Some of 2014 are not JSON but Python dicts; they are read as literals, never executed.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import json as arrow_json

from ...errors import DataError
from .assemble import Twice, assemble
from .dataset import Dataset
from .delimited import ID
from .files import File, one, refuse
from .json_lines import lines, record, records
from .markup import plain_text
from .times import check_moments, from_numbers

OLD = ("reviewerID", "asin", "overall", "unixReviewTime")
NEW = ("user_id", "parent_asin", "rating", "timestamp")
"""Names of user, item, value and time: 2014 and 2018 (seconds), and 2023 (milliseconds)."""

_OURS = ("user_id", "item_id", "value", "timestamp")
_KEY = re.compile(r"""['"]%s['"]\s*:\s*['"]([^'"]+)['"]""")


def read_amazon(
    path: str | Path, metadata: str | Path | None = None, *, raw_texts: bool = False, twice: Twice = "error"
) -> Dataset:
    """The reviews at `path` (2014, 2018 or 2023, told from the first record), with the texts of the `metadata` file.

    Items: `title`, `categories` (each once, in the order of the source, joined by ", "), `description`; HTML entities
    are decoded, markup and page code taken out, unless `raw_texts`. The item of 2023 is the parent product: the
    metadata are about it. Timestamps are unix seconds; reviews of one second keep the order of their milliseconds.
    DataError names file, line, field and remedy.
    """
    file = one(path)
    interactions = _reviews(file)
    name = file.name.split(".")[0]
    if metadata is None:
        return assemble(name, interactions, source=file)
    about = one(metadata)
    items = _metadata(about, set(interactions["item_id"].cat.categories), raw_texts)
    return assemble(name, interactions, items, source=file, items_source=about, twice=twice)


def _reviews(file: File) -> pd.DataFrame:
    _, first = next(records(file), (0, {}))
    if not first:
        raise DataError(f"{file} holds no review; one JSON record a line was expected")
    names = NEW if "parent_asin" in first else OLD
    absent = [name for name in names if name not in first]
    if absent:
        raise DataError(
            f"{file}: line 1 has no field {absent[0]!r}; expected are {', '.join(OLD)} "
            f"(2014, 2018) or {', '.join(NEW)} (2023)"
        )
    try:
        frame = _fast(file, names)
    except pa.ArrowInvalid:
        # A bad line, or Python's dicts: the slow way reads the one and names the other.
        frame = _slow(file, names)
    if names == NEW:
        try:
            whole, order = from_numbers(frame["timestamp"].to_numpy(), "ms")
        except ValueError as error:
            raise DataError(f"{file}: field {names[3]!r}: {error}; mend or remove the line") from error
        frame["timestamp"] = whole
        return frame if order is None else frame.take(order)
    try:
        check_moments(frame["timestamp"].to_numpy())
    except ValueError as error:
        raise DataError(f"{file}: field {names[3]!r}: {error}; mend or remove the line") from error
    return frame


def _fast(file: File, names: tuple[str, ...]) -> pd.DataFrame:
    kinds = dict(zip(names, (pa.string(), pa.string(), pa.float32(), pa.int64()), strict=True))
    with file.open() as stream:
        try:
            table = arrow_json.read_json(
                stream,
                read_options=arrow_json.ReadOptions(block_size=16 << 20),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=pa.schema(list(kinds.items())), unexpected_field_behavior="ignore"
                ),
            )
        except (OSError, EOFError, zlib.error) as error:
            refuse(file, error)
    table = table.select(list(names)).rename_columns(list(_OURS))
    for name in _OURS:
        if table[name].null_count:
            raise pa.ArrowInvalid(f"{name} is missing somewhere")
    for place, name in enumerate(_OURS[:2]):
        table = table.set_column(place, name, table[name].dictionary_encode().cast(ID))
    return table.unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True)


def _slow(file: File, names: tuple[str, ...]) -> pd.DataFrame:
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item, value, time = array("i"), array("i"), array("f"), array("q")
    for line, review in records(file):
        try:
            user.append(users.setdefault(_text(review[names[0]], names[0]), len(users)))
            item.append(items.setdefault(_text(review[names[1]], names[1]), len(items)))
            value.append(float(review[names[2]]))
            time.append(int(review[names[3]]))
        except KeyError as error:
            raise DataError(f"{file}: line {line} has no field {error}; mend or remove the line") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"{file}: line {line}: {error}; mend or remove the line") from None
    return pd.DataFrame(
        {
            "user_id": pd.Categorical.from_codes(np.frombuffer(user, np.int32), pd.Index(list(users), dtype=object)),
            "item_id": pd.Categorical.from_codes(np.frombuffer(item, np.int32), pd.Index(list(items), dtype=object)),
            "value": np.frombuffer(value, np.float32),
            "timestamp": np.frombuffer(time, np.int64),
        }
    )


def _metadata(file: File, wanted: set[str], raw_texts: bool) -> pd.DataFrame:
    """Title, categories and description of the wanted items; other lines are passed over unread where possible,
    since a literal of Python takes 20 times as long to read as JSON."""
    rows = [
        {
            "item_id": ident,
            "title": _joined(product.get("title"), " ", raw_texts),
            "categories": _categories(product, raw_texts),
            "description": _joined(product.get("description"), " ", raw_texts),
        }
        for product in _records(file, wanted)
        if (ident := str(product.get("parent_asin") or product.get("asin") or "")) in wanted
    ]
    if not rows:
        raise DataError(
            f"{file} describes none of the {len(wanted)} reviewed items; give the metadata of the same category"
        )
    return pd.DataFrame(rows)


def _records(file: File, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """The records of the wanted items; lines that name another one are passed over unread."""
    parent, asin = (re.compile(_KEY.pattern % name) for name in ("parent_asin", "asin"))
    for line, text in lines(file):
        named = parent.findall(text) or asin.findall(text)
        if not named or wanted.intersection(named):
            yield record(file, line, text)


def _text(value: object, name: str) -> str:
    if value is None or value == "":
        raise ValueError(f"field {name!r} is empty, but an id is needed")
    return str(value)


def _categories(record: dict[str, Any], raw_texts: bool) -> str:
    """2014: `categories`, a list of paths. 2018: `category`, one path. 2023: `categories`, else `main_category`."""
    given = record.get("categories") or record.get("category") or record.get("main_category") or []
    paths = given if isinstance(given, list) else [given]
    flat = [name for path in paths for name in (path if isinstance(path, list) else [path])]
    # 2018 has pieces of pages among its categories.
    names = [_cleaned(str(name), raw_texts) for name in flat if name and (raw_texts or "</" not in str(name))]
    return ", ".join(dict.fromkeys(name for name in names if name))


def _joined(value: object, between: str, raw_texts: bool) -> str:
    pieces = value if isinstance(value, list) else [value]
    return _cleaned(between.join(str(p).strip() for p in pieces if p is not None), raw_texts)


def _cleaned(text: str, raw: bool) -> str:
    return text.strip() if raw else plain_text(text)
