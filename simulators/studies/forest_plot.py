"""Forest plot of refined against raw and each control, as inline SVG that follows the page's colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

ROW, LEFT, PLOT, RIGHT, TOP, BOTTOM = 26, 250, 360, 250, 14, 44
"""Pixels: height of a row, width of the labels, of the plot and of the figures, head and foot."""
ALPHA = 0.05


def forest_plot(rows: pd.DataFrame, metric: str) -> str:
    """One line a comparison: `model`, `against`, `difference`, `low`, `high`, `p_holm`. Empty without a row.

    A filled marker: corrected p at most .05. The dashed line is no difference.
    """
    comparisons = rows[rows["difference"].notna()].to_dict("records")
    if not comparisons:
        return ""
    low = min(0.0, *(row["low"] for row in comparisons))
    high = max(0.0, *(row["high"] for row in comparisons))
    margin = 0.06 * (high - low or 1e-3)
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return LEFT + PLOT * (value - low) / (high - low)

    height = TOP + ROW * len(comparisons) + BOTTOM
    foot = TOP + ROW * len(comparisons)
    parts = [
        f'<svg class="forest" viewBox="0 0 {LEFT + PLOT + RIGHT} {height}" role="img" '
        f'aria-label="Differences in {escape(metric)} with 95 % intervals">',
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP}" y2="{foot}"/>',
    ]
    model = None
    for place, row in enumerate(comparisons):
        y = TOP + ROW * (place + 0.5)
        if row["model"] != model:
            parts.append(f'<text class="model" x="0" y="{y + 4:.1f}">{escape(str(row["model"])[:18])}</text>')
            model = row["model"]
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(str(row["against"]))}</text>')
        parts.append(f'<line class="bar" x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="{y}" y2="{y}"/>')
        filled = "point" if row["p_holm"] <= ALPHA else "point open"
        parts.append(f'<circle class="{filled}" cx="{x(row["difference"]):.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text class="figure" x="{LEFT + PLOT + 12}" y="{y + 4:.1f}">{_figures(row)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + PLOT}" y1="{foot}" y2="{foot}"/>')
    parts += [
        f'<text class="tick" x="{x(tick):.1f}" y="{foot + 16}" text-anchor="middle">{tick:+.3g}</text>'
        for tick in _ticks(low, high)
    ]
    parts.append(
        f'<text class="tick" x="{LEFT + PLOT / 2}" y="{foot + 34}" text-anchor="middle">'
        f"{escape(metric)}: refined minus the other</text></svg>"
    )
    return "\n".join(parts)


def _figures(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] p={row['p_holm']:.3f}"


def _ticks(low: float, high: float) -> Sequence[float]:
    """About five round values between the ends."""
    step = 10 ** np.floor(np.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    return [float(tick * step) for tick in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
