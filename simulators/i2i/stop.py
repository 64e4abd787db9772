"""The stop rule: additions that help the tail may not be paid for by head items or warm users."""

from __future__ import annotations

import pandas as pd

GUARDED = ("head", "warm")


def warnings(table: pd.DataFrame, metric: str, guarded: tuple[str, ...] = GUARDED) -> list[str]:
    """A line for each model and variant of `compare`'s table whose head or warm figure is below raw, interval and all.

    The interval is not corrected for the number of comparisons: a stop rule would rather warn once too often.
    """
    rows = table[
        (table["against"] == "raw") & (table["metric"] == metric) & table["group"].isin(guarded) & (table["high"] < 0)
    ]
    return [
        f"stop: {row['model']} on {row['variant']}: {metric} of {row['group']} falls by {-row['difference']:.4f} "
        f"[{row['low']:+.4f}, {row['high']:+.4f}], {row['baseline']:.4f} -> {row['mean']:.4f}"
        for row in rows.to_dict("records")
    ]
