"""The two curves as PNG: what a growing part of the generated rows is worth, taken at random and surest first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .study import CONFIDENCE, VOLUME

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = {VOLUME: ("#7f8c8d", "at random"), CONFIDENCE: ("#c0392b", "surest first")}
GROUPS = ("all", "head", "tail", "cold", "warm")


def volume_curve(curve: pd.DataFrame, metric: str, title: str, path: Path) -> Path:
    """A panel a model: the difference to raw at each share of the generated rows, a line a group; bars are 95 %."""
    some = curve[(curve["order"] == VOLUME) & (curve["metric"] == metric)]
    colours = dict(zip(GROUPS, ("#17202a", "#2471a3", "#c0392b", "#1e8449", "#b9770e"), strict=True))

    def draw(axis: Axes, part: pd.DataFrame) -> None:
        here = [group for group in GROUPS if group in set(part["group"])]
        for place, group in enumerate(here):
            # Set apart by a hair, so that no bar hides another.
            _line(axis, part[part["group"] == group], colours[group], group, 0.012 * (place - (len(here) - 1) / 2))

    return _picture(some, draw, metric, f"{title}: volume", "share of the generated rows added, a random part", path)


def confidence_curve(curve: pd.DataFrame, metric: str, title: str, path: Path, group: str = "all") -> Path:
    """A panel a model: the surest part of the generated rows against a random part of the same size; bars are 95 %."""
    some = curve[(curve["metric"] == metric) & (curve["group"] == group)]

    def draw(axis: Axes, part: pd.DataFrame) -> None:
        for place, (order, (colour, label)) in enumerate(LINES.items()):
            line = part[part["order"] == order]
            _line(axis, line, colour, label, 0.016 * (place - 0.5))
            if order == CONFIDENCE:
                cuts = line[line["cut"].notna()]
                for share, cut in zip(cuts["share"].astype(float), cuts["cut"], strict=True):
                    # In a strip of its own above the bars.
                    axis.text(share, 0.985, f"{cut:.2f}", fontsize=7, color=colour, ha="center", va="top",
                              transform=axis.get_xaxis_transform())  # fmt: skip

    return _picture(
        some,
        draw,
        metric,
        f"{title}: confidence, {group}",
        "share of the generated rows added (red: least confidence)",
        path,
    )


def _line(axis: Axes, part: pd.DataFrame, colour: str, label: str, aside: float) -> None:
    part = part.sort_values("share")
    below, above = part["difference"] - part["low"], part["high"] - part["difference"]
    axis.errorbar(
        part["share"] + aside, part["difference"], yerr=[below.clip(lower=0), above.clip(lower=0)],
        color=colour, label=label, marker="o", markersize=3, linewidth=1.2, elinewidth=0.7, capsize=2,
    )  # fmt: skip


def _picture(table: pd.DataFrame, draw: object, metric: str, title: str, below: str, path: Path) -> Path:
    # The object interface alone: pyplot keeps figures alive and wants a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models: Sequence[str] = list(dict.fromkeys(table["model"]))
    figure = Figure(figsize=(1.8 + 3.4 * max(len(models), 1), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, max(len(models), 1), squeeze=False)[0]
    for axis, name in zip(axes, models, strict=True):
        draw(axis, table[table["model"] == name])  # type: ignore[operator]
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.1 * (high - low))
        axis.axhline(0, color="#17202a", linewidth=0.6, linestyle=":")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(below, fontsize=7)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel(f"{metric}, difference to raw", fontsize=8)
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside right upper", fontsize=7, frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
    return path
