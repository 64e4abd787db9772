"""Turns whatever a source calls time into unix seconds: seconds, milli-, micro-, nanoseconds, ISO 8601 or a format."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import ConfigError

Longs = npt.NDArray[np.int64]

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SETTINGS = ("auto", *PER_SECOND, "iso", "order")
"""What `time` may be, besides a strptime format such as `%d/%m/%Y`. `auto` tells numbers by their size (`unit_of`) and
reads text as ISO 8601; `order` ignores the column: the order of the rows is the time."""


def check_setting(time: str) -> str:
    """`time`, if it is one of `SETTINGS` or a strptime format; ConfigError otherwise."""
    if time not in SETTINGS and "%" not in time:
        raise ConfigError(f"time: {time!r}; write {', '.join(SETTINGS)} or a format such as %d/%m/%Y %H:%M")
    return time


def unit_of(numbers: npt.NDArray[np.generic]) -> str:
    """The unit numbers are in, by their median size: below 1e11 seconds (until the year 5138), below 1e14
    milliseconds (from March 1973), below 1e17 microseconds, else nanoseconds."""
    size = float(np.median(np.abs(numbers))) if len(numbers) else 0.0
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def from_numbers(
    numbers: npt.NDArray[np.generic], time: str = "auto", rows: Longs | None = None
) -> tuple[Longs, Longs | None]:
    """(n,) unix seconds, rounded down, and the order the rows have to be put in first, or None.

    The order matters where seconds hide it: rows of one second are then sorted by the finer time (stable).
    ValueError, in words that name the row, for a number that is no moment (`check_moments`)."""
    unit = unit_of(numbers) if time == "auto" else time
    factor = PER_SECOND[unit]
    check_moments(numbers, factor, rows=rows)
    fine = numbers if numbers.dtype.kind in "iu" else np.asarray(numbers, np.float64)
    whole = np.floor_divide(fine, factor).astype(np.int64)
    if not np.any(fine != whole * factor):
        return whole, None
    return whole, np.argsort(fine, kind="stable")


LAST_SECOND = 1e11
"""Unix seconds (year 5138) from which on a number is no moment but one in another unit."""
_FIRST_CLOCK = 3e8
"""Median unix seconds (July 1979) from which on the numbers are moments and no positions."""
_MIXED = 300
"""A number so many times smaller than the median is in a unit 1000 times coarser: 1.6e9 among 1.6e12."""


def check_moments(
    numbers: npt.NDArray[np.generic], factor: int = 1, *, rows: Longs | None = None, typical: float | None = None
) -> None:
    """ValueError, naming the first row at fault (from 1), where a column mixes units or holds what is no moment.

    numbers: (n,), `factor` of them a second. rows: (n,) their rows in the file, from 0. typical: their median, where
    they are a part of more. Absurd are moments from the year 5138 on, and, beside a median after 1979, positive ones
    300 times smaller than it (seconds among milliseconds). 0 and negative numbers pass: logs have them for unknown
    moments.
    """
    if not len(numbers):
        return
    fine = np.asarray(numbers, np.float64) / factor
    middle = float(np.median(fine)) if typical is None else typical / factor
    bad = ~(np.abs(fine) < LAST_SECOND)
    if _FIRST_CLOCK <= middle < LAST_SECOND:
        bad |= (fine > 0) & (fine * _MIXED < middle)
    if not bad.any():
        return
    at = int(np.flatnonzero(bad)[0])
    others = f"; the others lie about {_year(middle)}" if _FIRST_CLOCK <= middle < LAST_SECOND else ""
    raise ValueError(
        f"row {(at if rows is None else rows[at]) + 1}: {numbers[at]} lies in the year {_year(float(fine[at]))}{others}"
        ": the column mixes units, or this is no moment"
    )


def _year(second: float) -> str:
    year = 1970 + second / (365.2425 * 86400)
    return f"{int(year)}" if abs(year) < 1e9 else f"{year:.0e}"


def from_texts(texts: pd.Series, time: str = "auto") -> tuple[Longs, Longs | None]:
    """As `from_numbers`, for texts: ISO 8601, or the strptime format `time`; without a zone they are UTC.

    ValueError when one cannot be read (`one_moment` tells which, and why).
    """
    layout = time if "%" in time else "ISO8601"
    moments = pd.to_datetime(texts, utc=True, format=layout)
    if moments.isna().any():
        raise ValueError(f"row {int(np.flatnonzero(moments.isna())[0]) + 1} has no moment")
    return from_numbers(moments.to_numpy("datetime64[ns]").astype(np.int64), "ns")


def one_moment(text: str, time: str = "auto") -> float:
    """Unix seconds of one text; ValueError, in words, when it cannot be read."""
    if "%" in time:
        try:
            when = datetime.strptime(text, time)
        except ValueError:
            raise ValueError(f"is not of the form {time}") from None
    else:
        read = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
        if pd.isna(read):
            raise ValueError("is no ISO 8601 moment (give its form, as `time: '%d/%m/%Y'`)")
        when = read.to_pydatetime()
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
