"""`init`: a commented study file for a log of interactions, or a copy of an example that ships with recloop."""

from __future__ import annotations

import difflib
import gzip
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ...atomic import write_text
from ...errors import ConfigError, DataError
from ...recsys.data.sources import load
from .study import read_study

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = 500
"""Rows that are read to recognise columns and times."""
SEPARATORS = ("::", "\t", ";", "|", ",")
USERS = 50
"""Users that the written study lets the agent work on: seconds with a server, so that a first run is short."""
NAMES = {
    "user_id": "user_id userid user uid reviewerid customer_id customerid customer visitorid visitor_id "
    "member_id account_id profile_id session_id",
    "item_id": "item_id itemid item iid movieid movie_id parent_asin asin product_id productid product sku isbn "
    "book_id bookid article_id song_id track_id artist_id business_id game_id anime_id",
    "timestamp": "timestamp time date datetime ts unixreviewtime created_at event_time review_date rated_at",
    "value": "rating value score stars overall star_rating",
}
"""Our name -> names of columns that are taken for it, without case, the likeliest first."""
DATE_FORMATS = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d")
UNIX_2000 = 946_684_800
"""Numbers from here on in a file without header are taken for times."""


def init(
    log: Path | str | None = None,
    out: Path | str | None = None,
    *,
    items: Path | str | None = None,
    example: str | None = None,
) -> dict[str, Any]:
    """Write a commented study file, which runs as it is; an existing file is never replaced.

    log: the interactions (CSV, TSV or other delimited text, Parquet, `.inter`), whose columns, separator and times are
    recognised; None: the built-in world. items: the table of items with their titles. example: copy this example of
    recloop (`bazaar`) instead. out: the file to write; None: `study.yaml`, or the example's name. Gives `study` (the
    file written) and `data` (interactions, users and items, as the study reads them).

    Raises ConfigError for a file that exists and an unknown example, DataError for a log that cannot be read.
    """
    if example is not None:
        if log is not None or items is not None:
            raise ConfigError("an example has data of its own: leave out either the log or --example")
        target = _free(Path(out or f"{Path(example).name}.yaml"))
        write_text(target, _example_text(example))
        return {"study": str(target), "data": {}}
    target = _free(Path(out or "study.yaml"))
    section: dict[str, Any] = {"source": "bazaar"}
    if log is not None:
        section = _data_section(Path(log), None if items is None else Path(items))
    data = load(read_study({"name": "check", "data": section}).data)
    if log is not None:
        # Ratings of 4 and 5 of 5 are taken for "likes"; the comment says so.
        middle = _liked_from(data.value) if "value" in section["columns"] else None
        section |= {} if middle is None else {"min_rating": middle}
        for key in ("path", "items"):
            if key in section:
                section[key] = os.path.relpath(section[key], target.parent.absolute())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, _study_text(section, items=items is not None or log is None))
    return {"study": str(target), "data": {"interactions": len(data), "users": data.n_users, "items": data.n_items}}


def examples() -> list[str]:
    """Names of the examples that ship with recloop."""
    return sorted(path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in EXAMPLES.rglob("*.yaml"))


def _free(path: Path) -> Path:
    if path.exists():
        raise ConfigError(f"{path} exists already, and init replaces nothing; name another file with --out")
    return path


def _example_text(name: str) -> str:
    path = EXAMPLES / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, examples(), 1, 0.0)
        raise ConfigError(f"no example {name!r}; did you mean {near[0]!r}? There are: {', '.join(examples())}")
    return path.read_text(encoding="utf-8")


def _data_section(log: Path, items: Path | None) -> dict[str, Any]:
    """The section `data` for a log, with paths as they were given."""
    for path in (log, items):
        if path is not None and not path.is_file():
            raise DataError(f"{path}: no such file; name a log of interactions")
    if log.suffix == ".inter":
        return {"source": "atomic", "path": str(log)} | ({} if items is None else {"items": str(items)})
    section: dict[str, Any] = {"source": "table", "path": str(log)}
    if log.suffix in (".parquet", ".pq"):
        head = pd.read_parquet(log).head(ROWS)
        columns = _columns(log, list(head.columns))
    else:
        separator = _separator(log)
        head = _text_head(log, separator, header=True)
        columns = _columns(log, list(head.columns)) if not _is_row(list(head.columns)) else {}
        if not columns:
            head = _text_head(log, separator, header=False)
            columns = _positions(log, head)
        if separator != ("\t" if log.suffix in (".tsv", ".tab") else ","):
            section["separator"] = separator
    section["columns"] = columns
    if "timestamp" in columns and (layout := _time_format(head[columns["timestamp"]])) is not None:
        section["time"] = layout
    if items is not None:
        section["items"] = str(items)
    return section


def _separator(log: Path) -> str:
    """What the first line is divided by most often; a comma where it holds none of the known separators."""
    with gzip.open(log) if log.suffix == ".gz" else log.open("rb") as file:
        first = file.readline().decode("utf-8", errors="replace")
    counts = {separator: first.count(separator) for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda separator: (counts[separator] > 0, counts[separator] * len(separator)))


def _text_head(log: Path, separator: str, *, header: bool) -> pd.DataFrame:
    try:
        return pd.read_csv(
            log,
            sep=separator,
            nrows=ROWS,
            dtype=str,
            header=0 if header else None,
            engine="python",
            encoding="utf-8-sig",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{log}: cannot be read as text divided by {separator!r}: {error}") from None


def _is_row(names: Sequence[str]) -> bool:
    """Whether the first line is a row of data: two of its fields or more are numbers."""
    return sum(re.fullmatch(r"-?\d+(\.\d+)*", str(name)) is not None for name in names) >= 2


def _columns(log: Path, names: Sequence[str]) -> dict[str, str | int]:
    """Our name -> the file's, for every column that is recognised. Raises DataError without users or items."""
    by_lower = {str(name).strip().lower(): str(name) for name in reversed(names)}
    columns: dict[str, str | int] = {}
    for ours, candidates in NAMES.items():
        if (name := next((name for name in candidates.split() if name in by_lower), None)) is not None:
            columns[ours] = by_lower[name]
    missing = [ours for ours in ("user_id", "item_id") if ours not in columns]
    if missing:
        raise DataError(
            f"{log}: no column is recognised as {' or '.join(missing)}; it has {', '.join(map(str, names))}. "
            "Rename the columns, or write a study by hand with "
            "`data: {source: table, columns: {user_id: ..., item_id: ...}}`"
        )
    return columns


def _positions(log: Path, head: pd.DataFrame) -> dict[str, str | int]:
    """Columns of a file without header: user, item, then a rating and a time where the numbers look like them."""
    if head.shape[1] < 2:
        raise DataError(f"{log}: one column only; a log has a user and an item in every row")
    columns: dict[str, str | int] = {"user_id": 0, "item_id": 1}
    for place in range(2, head.shape[1]):
        numbers = pd.to_numeric(head[place], errors="coerce")
        if numbers.notna().all() and numbers.min() >= UNIX_2000:
            columns.setdefault("timestamp", place)
        elif numbers.notna().all() and numbers.abs().max() <= 100:
            columns.setdefault("value", place)
    return columns


def _time_format(texts: pd.Series) -> str | None:
    """None where `auto` reads the times (numbers, ISO 8601), else the first known format that fits every sample."""
    samples = texts.dropna()
    if samples.dtype != object and not pd.api.types.is_string_dtype(samples):
        return None
    if pd.to_numeric(samples, errors="coerce").notna().all():
        return None
    if pd.to_datetime(samples, errors="coerce", utc=True, format="ISO8601").notna().all():
        return None
    for layout in DATE_FORMATS:
        if pd.to_datetime(samples, errors="coerce", utc=True, format=layout).notna().all():
            return layout
    raise DataError(
        f"time {samples.iloc[0]!r} has no known format; write a study by hand with `data: {{time: ...}}`, a format "
        "such as %d/%m/%Y"
    )


def _liked_from(values: Any) -> float | None:
    """The rating from which a row is taken for a like: 4 of 5, 8 of 10; None where the values are no such scale."""
    top = float(values.max(initial=0.0))
    return 0.8 * top if top in (5.0, 10.0) and float(values.min(initial=0.0)) < 0.8 * top else None


COMMENTS = {
    "source": "a reader: `recloop list sources`",
    "path": "relative to this file",
    "separator": "between two fields",
    "columns": "our name: the column in the file, or its position from 0",
    "time": "the format of the timestamps",
    "items": "titles, categories, descriptions: what a language model reads",
    "min_rating": "rows with a lower rating are left out; delete this line to keep all",
}


def _study_text(section: dict[str, Any], *, items: bool) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(section.get("path", section["source"]))).name.split(".")[0])
    lines = []
    for key, value in section.items():
        written = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000, sort_keys=False)
        lines.append(f"  {key}: {written.partition(chr(10))[0]}  # {COMMENTS[key]}")
    step = [
        "steps:  # agents, in order: `recloop list steps`",
        f"  - setwise: {{users: {USERS}, candidates: 10, set_size: 4, stride: 2, rounds: 2}}",
    ]
    no_step = [
        "# Agents read the texts of items; this data has none. With a table of items (item_id, title, categories):",
        "# `recloop init LOG --items ITEMS`, or `items: items.csv` under data, and then:",
        "# steps:",
        f"#   - setwise: {{users: {USERS}}}",
    ]
    return "\n".join(
        [
            "# yaml-language-server: $schema=study.schema.json   (write it once: recloop schema > study.schema.json)",
            f"name: {name.strip('-._') or 'study'}  # the run folder: runs/<name>",
            "data:",
            *lines,
            "  # core: 5                  # only users and items with 5 interactions or more",
            "  split: leave_last_out     # each user's last item is the test, the one before it the validation",
            "llm:",
            "  provider: offline         # TF-IDF, not a language model, and free",
            "  # provider: openai        # any OpenAI-compatible server; `recloop estimate` says what a run costs",
            "  # model: qwen2.5-7b-instruct",
            "  # base_url: http://127.0.0.1:8000/v1",
            "  # budget: {calls: 10000}",
            *(step if items else no_step),
            "train:",
            "  models: [popularity, itemknn, {bpr: {epochs: 20}}]  # `recloop list models`",
            "  seeds: [0, 1]             # every model once a seed; more seeds, narrower intervals",
            "evaluate:",
            "  metrics: [recall@10, ndcg@10]  # `recloop list metrics`",
            "",
        ]
    )
