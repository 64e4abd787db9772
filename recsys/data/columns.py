"""Finds the columns that recloop reads among those of a file: by a map, by our own names, or by usual other names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

from ...errors import DataError
from .dataset import PROVENANCE_COLUMNS

Columns = Mapping[str, str | int]
"""From our name to the file's, as {"user_id": "reviewer"}; a number is a position (from 0) in a file without header."""

ALIASES = {
    "user_id": ("userId", "user", "reviewerID"),
    "item_id": ("itemId", "movieId", "item", "asin", "parent_asin"),
    "timestamp": ("time", "unixReviewTime"),
    "value": ("rating", "overall"),
    "title": ("movie_title", "item_title", "product_title", "name"),
    "categories": ("category", "genres", "genre", "class"),
}
"""Usual names of columns, tried in this order where the map names none and our own name is absent. Case, spaces,
hyphens and underscores do not matter (`User-ID`), but a column of exactly that name comes first."""

INTERACTION_NAMES = ("user_id", "item_id", "item_id_list", "timestamp", "value", "weight", *PROVENANCE_COLUMNS)
"""Our names of the columns of a log: the keys that `columns` may have."""

SEPARATORS = ("\t", ";", ",", "::", "|", " ")
"""Separators that are recognised in the first line of a file."""


def located(
    file: object,
    names: Sequence[str],
    columns: Columns,
    needed: Sequence[str],
    optional: Sequence[str],
    *,
    setting: str = "columns",
    known: Collection[str] | None = None,
) -> dict[str, str]:
    """Our name -> the file's, for the needed columns, those in the map, and the optional ones that the file has.

    known: the only keys that the map may have; None: any. DataError for another key, for a mapped or needed column that
    the file lacks, and for two of our names that name the same column; the message has the nearest name.
    """
    _check_keys(columns, (*needed, *optional), setting, known)
    mapped = {ours: str(theirs) for ours, theirs in columns.items()}
    require(file, names, list(mapped.values()), setting)
    owner: dict[str, str] = {}
    for ours, theirs in mapped.items():
        if theirs in owner:
            raise DataError(
                f"{file}: `{setting}` names the column {theirs!r} for {owner[theirs]} and for {ours}; "
                "name another column for one of them"
            )
        owner[theirs] = ours
    places: dict[str, str] = {}
    for ours in dict.fromkeys((*needed, *mapped, *optional)):
        if ours in mapped:
            places[ours] = mapped[ours]
            continue
        usual = _usual(ours, [name for name in names if name not in owner])
        if usual is not None:
            places[ours] = usual
            owner[usual] = ours
        elif ours in needed:
            require(file, names, [ours], setting)
            raise DataError(
                f"{file}: no column is left for {ours}: `{setting}` names {ours!r} for {owner[ours]}; "
                f"name the column of {ours} under `{setting}`"
            )
    return places


def require(file: object, present: Sequence[str], wanted: Sequence[str], setting: str = "columns") -> None:
    """DataError unless every wanted column is present; it names the nearest column and the setting that maps it."""
    for name in wanted:
        if name not in present:
            near = difflib.get_close_matches(name, present, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if len(present) == 1 and (signs := [s for s in SEPARATORS[:-1] if s in present[0]]):
                hint = f"the first line has {signs[0]!r} between its fields: set `separator: {signs[0]!r}`, or "
            raise DataError(
                f"{file}: no column {name!r} among {', '.join(map(repr, present))}; {hint}"
                f"name the right one under `{setting}`"
            )


def _check_keys(columns: Columns, ours: Sequence[str], setting: str, known: Collection[str] | None) -> None:
    for key in columns:
        near = difflib.get_close_matches(key, known if known is not None else ours, 1, 0.75)
        if key in ours or (known is not None and key in known) or (known is None and not near):
            continue
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known or ours)}"
        raise DataError(f"{setting}: no column of ours is called {key!r}; {hint} (write our name: the file's name)")


def _usual(ours: str, free: Sequence[str]) -> str | None:
    usual = (ours, *ALIASES.get(ours, ()))
    for name in usual:
        if name in free:
            return name
    plain = {_plain(name): name for name in reversed(free)}
    return next((plain[_plain(name)] for name in usual if _plain(name) in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
