"""`DataConfig`: which source data comes from, how it is filtered and how it is split."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, field_validator, model_validator

from .assemble import Twice
from .dataset import Split
from .frames import FRAME, hold_frame, is_frame
from .splits import given, global_time, leave_last_out, per_user_ratio
from .table_form import Events


class Core(BaseModel):
    """Fewest interactions of a user and of an item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: PositiveInt = 5
    item: PositiveInt = 5


def _plain_moment(value: object) -> object:
    """ISO 8601 text of what YAML made a date or a moment of (`2015-06-30` without quotes)."""
    return value.isoformat() if isinstance(value, date) else value


class TimeWindow(BaseModel):
    """Moments, as unix seconds or ISO 8601: `start` included, `end` left out; None is open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Annotated[int | str | None, BeforeValidator(_plain_moment)] = None
    """The first moment that is included."""
    end: Annotated[int | str | None, BeforeValidator(_plain_moment)] = None
    """The first moment that is left out."""


READS: dict[str, set[str]] = {
    "bazaar": {"seed", "n_users", "n_items", "noise"},
    "movielens": {"path", "tags", "duplicate_ids"},
    "amazon": {"path", "metadata", "raw_texts", "duplicate_ids"},
    "atomic": {"path", "items", "users", "columns", "header", "quoted", "encoding", "raw_texts", "duplicate_ids"},
    "table": {
        "path",
        "items",
        "users",
        "columns",
        "item_columns",
        "user_columns",
        "time",
        "separator",
        "items_separator",
        "encoding",
        "escape",
        "sequences",
        "without_time",
        "events",
        "raw_texts",
        "duplicate_ids",
    },
    "frame": {
        "items",
        "users",
        "columns",
        "item_columns",
        "user_columns",
        "time",
        "without_time",
        "events",
        "raw_texts",
        "duplicate_ids",
    },
    "windows": {"path", "items"},
    "written": {"path"},
}
"""The settings of `DataConfig` that a source takes, besides the filters and the split."""


SOURCE_NAMES = tuple(name for name in READS if name != FRAME)
"""The names of sources; a DataFrame has none."""

SPLITS: dict[str, Callable[..., Split]] = {
    "leave_last_out": leave_last_out,
    "global_time": global_time,
    "per_user_ratio": per_user_ratio,
    "given": given,
}


class DataConfig(BaseModel):
    """A dataset as a study file names it. Filters act in this order: window, duplicates, min_rating, core."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "bazaar"
    """A name in `SOURCES`, or `package.module:function` of one's own: a function from this config to a Dataset. In
    Python also a pandas DataFrame, as `items` and `users` then may be."""
    path: Path | None = None
    """The folder, zip or file the source is in."""
    metadata: Path | None = None
    """amazon: the file of titles, categories and descriptions."""
    items: Path | None = None
    """table, atomic: the table of items, where it is not beside the interactions. windows: a JSON object of titles by
    item id."""
    users: Path | None = None
    """table, atomic: the table of users."""
    columns: dict[str, str | int] = Field(default_factory=dict)
    """table, atomic, frame: our name -> the file's, as {user_id: reviewer, value: stars}. table: where the file has no
    header, a position from 0. A column of lists under item_id stands for a row an item."""
    item_columns: dict[str, str | int] = Field(default_factory=dict)
    """table: the same for the table of items (item_id, title, categories)."""
    user_columns: dict[str, str | int] = Field(default_factory=dict)
    """table: the same for the table of users (user_id)."""
    header: list[str] = Field(default_factory=list)
    """atomic: `name:type` of each field of an .inter file that has no header."""
    quoted: bool = False
    """atomic: fields may stand in double quotes."""
    time: str = "auto"
    """table: s, ms, us, ns, iso, order, a format such as %d/%m/%Y, or auto (numbers by size, text as ISO 8601)."""
    separator: str | None = None
    """table: what stands between fields; found in the first line unless given."""
    items_separator: str | None = None
    """table: the same for the table of items, where it differs."""
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """table: the character before a quote or a separator inside a field, usually a backslash; without it a quote inside
    a quoted field is doubled."""
    sequences: bool = False
    """table: a line is a user and then the user's items, oldest first (`u i i i`), without a header."""
    without_time: Literal["error", "drop"] = "error"
    """table, frame: what becomes of a row without a moment. drop: it is left out and counted."""
    events: Events | None = None
    """table, frame: only rows of some kinds of event, as {column: behavior, keep: [buy]}; the others are counted."""
    raw_texts: bool = False
    """table, atomic, amazon, frame: keep HTML entities, tags and page code in the texts of items. By default they are
    decoded or taken out (`D&eacute;j&agrave; Vu` -> `Déjà Vu`)."""
    encoding: str = "utf-8"
    """table, atomic: the encoding of the text."""
    tags: int = Field(default=20, ge=0)
    """movielens: how many of an item's tags are kept as text; 0 leaves them out."""
    duplicate_ids: Twice = "error"
    """What becomes of an id that stands twice in a table of items or users with different contents."""
    seed: int = Field(default=0, ge=0)
    """bazaar: which world."""
    n_users: PositiveInt = 500
    """bazaar: its size."""
    n_items: PositiveInt = 400
    """bazaar: its size."""
    noise: float = Field(default=0.08, ge=0, le=1)
    """bazaar: probability that a row is planted noise, an item drawn by popularity alone. The last two rows of a user
    never are, so that a leave-last-out validation and test side is clean."""

    window: TimeWindow | None = None
    """Only interactions of this time."""
    duplicates: Literal["last", "first", "keep"] = "last"
    """Of several interactions of one pair, which stays. Full ranking masks what a user has seen, so a repeated item
    that is held out could never be found: `keep` is for methods that want repetitions."""
    min_rating: float | None = None
    """Interactions with a lower value are taken as no interaction."""
    core: Core | None = None
    """5 is short for {user: 5, item: 5}."""
    split: dict[str, dict[str, Any]] = Field(default={"leave_last_out": {}})
    """A name in `SPLITS`, or that name with its settings, as {global_time: {valid: .1, test: .1}}."""

    @model_validator(mode="after")
    def _read_by_the_source(self) -> DataConfig:
        """A setting that the source does not read would be lost without a word."""
        source = FRAME if is_frame(self.source) else self.source
        if source in READS:
            plain = type(self).model_construct()
            for setting in sorted(set().union(*READS.values()) - READS[source]):
                # Defaults may be written out: a stored configuration names every field.
                if getattr(self, setting) == getattr(plain, setting):
                    continue
                readers = ", ".join(source for source, settings in READS.items() if setting in settings)
                raise ValueError(f"source {source!r} does not read `{setting}` ({readers} does); leave it out")
        return self

    @field_validator("core", mode="before")
    @classmethod
    def _both(cls, value: object) -> object:
        return {"user": value, "item": value} if isinstance(value, int) else value

    @field_validator("split", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        split = {value: {}} if isinstance(value, str) else value
        if isinstance(split, Mapping) and len(split) == 1 and next(iter(split.values())) is None:
            split = {next(iter(split)): {}}
        if not isinstance(split, Mapping) or len(split) != 1:
            raise ValueError(f"write a name of {', '.join(SPLITS)}, or one name with its settings")
        name = next(iter(split))
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}{_nearest(str(name), SPLITS)}")
        if isinstance(split[name], Mapping):
            return {name: {key: _plain_moment(setting) for key, setting in split[name].items()}}
        return split

    @field_validator("source", "items", "users", mode="before")
    @classmethod
    def _frame(cls, value: object) -> object:
        """A DataFrame is named by its content and held in this process."""
        return hold_frame(value) if isinstance(value, pd.DataFrame) else value

    @field_validator("source")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SOURCE_NAMES and ":" not in value:
            raise ValueError(f"no source {value!r}{_nearest(value, SOURCE_NAMES)}")
        return value


PATHS = ("path", "metadata", "items", "users")
"""The settings of `DataConfig` that are paths."""


def beside(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The `data` section of a file with its paths taken from the folder that the file lies in."""
    placed = {**values}
    for key in PATHS:
        if isinstance(placed.get(key), str) and not is_frame(placed[key]):
            placed[key] = str(folder / placed[key])
    split = placed.get("split")
    if isinstance(split, Mapping) and isinstance(split.get("given"), Mapping):
        sides = {**split["given"]}
        for key in ("valid_path", "test_path"):
            if isinstance(sides.get(key), str):
                sides[key] = str(folder / sides[key])
        placed["split"] = {**split, "given": sides}
    return placed


def _nearest(name: str, table: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(table), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(table)}"
