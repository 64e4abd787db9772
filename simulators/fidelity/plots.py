"""One picture a protocol (PNG): means with their intervals, and what a protocol has to show besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .outcome import LEAD, LOWER_IS_BETTER, Outcome
from .report import TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"reference": "#7f8c8d", "plain": "#2471a3", "loop": "#c0392b", "recorded": "#1e8449"}
MEANING = {
    "reference": "no language model",
    "plain": "asked once",
    "loop": "the loop",
    "recorded": "recorded answers",
}
CHANCE = {"auc": 0.5}
SHARES = ("exact", "position share")
"""Metrics drawn on their whole scale, 0 to 1: zoomed in, noise about nothing would look like a finding."""
NAMES = {"auc": "AUC", "rmse": "RMSE", "exact": "share word for word", "leaks": "marks"}


def plot(outcome: Outcome, table: pd.DataFrame, path: Path) -> Path:
    """The picture of one outcome, written to `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = DRAWN.get(outcome.protocol, _means)(outcome, table)
    FigureCanvasAgg(figure)
    figure.suptitle(TITLES[outcome.protocol], x=0.01, ha="left", fontsize=12, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")
    return path


def _panels(count: int, rows: int, width: float = 4.6, most: int = 3) -> tuple[Figure, list[Axes]]:
    # The object interface alone: pyplot keeps figures alive and wants a display.
    from matplotlib.figure import Figure

    columns = min(count, most)
    lines = -(-count // columns)
    height = lines * (0.9 + 0.27 * rows) + 0.8
    figure = Figure(figsize=(1.6 + width * columns, height), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    flat = [axis for line in axes for axis in line]
    for axis in flat[count:]:
        axis.set_visible(False)
    return figure, flat[:count]


def _means(outcome: Outcome, table: pd.DataFrame) -> Figure:
    """A panel a variant: dots with intervals, best row at the top."""
    lead = LEAD[outcome.protocol]
    parts = []
    for variant, part in table.groupby("variant", sort=False):
        metric = lead if lead in set(part["metric"]) else str(part["metric"].iloc[0])
        label = NAMES.get(metric, metric.upper() if metric.startswith("ndcg") else metric)
        parts.append((f"{variant}: {label}", metric, part[part["metric"].eq(metric)]))
    figure, axes = _panels(len(parts), max(len(part) for _, _, part in parts))
    for axis, (title, metric, part) in zip(axes, parts, strict=True):
        dots(axis, part, title, metric)
    _legend(figure, table)
    return figure


def dots(axis: Axes, part: pd.DataFrame, title: str, metric: str) -> None:
    """Means with their intervals, a line a row, the best at the top."""
    part = part.dropna(subset=["mean"]).sort_values("mean", ascending=metric not in LOWER_IS_BETTER)
    places = np.arange(len(part))
    for place, row in zip(places, part.to_dict("records"), strict=True):
        colour = COLOURS[row["kind"]]
        axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot(row["mean"], place, "o", color=colour, markersize=6)
    if metric in CHANCE:
        axis.axvline(CHANCE[metric], color="#bbbbbb", linewidth=1, linestyle=":")
    if metric in SHARES:
        axis.set_xlim(min(-0.03, float(part["low"].min())), max(1.03, float(part["high"].max())))
    else:
        axis.locator_params(axis="x", nbins=6)
    axis.set_yticks(places, part["row"].tolist(), fontsize=8)
    axis.set_ylim(-0.7, len(part) - 0.3)
    axis.set_title(f"{title} (n {int(part['n'].max()) if len(part) else 0})", fontsize=9, loc="left")
    axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _ratings(outcome: Outcome, table: pd.DataFrame) -> Figure:
    """Errors before and after calibration, and how the model's ratings spread beside the users' own."""
    figure, axes = _panels(4, table["row"].nunique(), width=5.6, most=2)
    for axis, variant in zip(axes, dict.fromkeys(table["variant"]), strict=False):
        part = table[table["variant"].eq(variant) & table["metric"].eq("rmse")]
        dots(axis, part, f"RMSE, {variant}", "rmse")
    points = np.array(outcome.detail["points"])
    shares = {k: v for k, v in outcome.detail["shares"].items() if v and (k == "own" or k.startswith("asked once"))}
    width = 0.8 * float(np.diff(points).min()) / len(shares)
    for place, ((name, values), colour) in enumerate(
        zip(shares.items(), ("#7f8c8d", "#1b2631", "#a9cce3", "#2471a3"), strict=False)
    ):
        shift = (place - (len(shares) - 1) / 2) * width
        axes[3].bar(points + shift, values, width, color=colour, label=name.removeprefix("asked once, no loop, "))
    axes[3].set_title("spread of ratings: the users' own, and the model's", fontsize=9, loc="left")
    axes[3].set_xlabel("rating", fontsize=8)
    axes[3].legend(fontsize=7, frameon=False)
    _legend(figure, table)
    return figure


def _position(outcome: Outcome, table: pd.DataFrame) -> Figure:
    """Position shares, NDCG of one order and of the mean of all, and the mean rank by place."""
    figure, axes = _panels(3, table["row"].nunique())
    dots(
        axes[0],
        table[table["metric"].eq("position share")],
        "share of the variance of ranks that the place explains",
        "position share",
    )
    both = table[table["metric"].str.startswith("ndcg") & table["kind"].ne("reference")]
    both = both.assign(row=both["row"] + "\n" + both["metric"].str.removeprefix("ndcg@10, "))
    dots(axes[1], both, "NDCG@10, one order and the mean of all", "ndcg@10")
    for row, values in outcome.detail["mean rank by place"].items():
        kind = table.loc[table["row"].eq(row), "kind"].iloc[0]
        if not np.isnan(np.array(values, float)).all():
            label = row if kind != "reference" else None
            faint = 0.35 if kind == "reference" else 1.0
            axes[2].plot(
                range(1, len(values) + 1), values, "-o", markersize=3, color=COLOURS[kind], alpha=faint, label=label
            )
    axes[2].set_title("mean rank given to what stands at a place (0 first)", fontsize=9, loc="left")
    axes[2].set_xlabel("place in the list", fontsize=8)
    axes[2].set_ylim(0, 1)
    axes[2].legend(fontsize=7, frameon=False)
    _legend(figure, table)
    return figure


def _setwise(outcome: Outcome, table: pd.DataFrame) -> Figure:
    """NDCG@10 of every setting, and what it costs in tokens."""
    figure, axes = _panels(2, table["row"].nunique(), width=6.0)
    part = table[table["metric"].eq("ndcg@10")]
    dots(axes[0], part, "NDCG@10", "ndcg@10")
    # The bars stand on the lines of the dots, so that what a setting is worth and what it costs can be read across.
    costs = pd.DataFrame(list(outcome.costs)).set_index("row")
    lines = {row: place for place, row in enumerate(part.dropna(subset=["mean"]).sort_values("mean")["row"])}
    costs = costs.loc[[row for row in lines if row in costs.index]]
    places = [lines[row] for row in costs.index]
    axes[1].barh(places, costs["walk_tokens"], color="#e6b0aa", label="walking the history")
    axes[1].barh(places, costs["tokens"], left=costs["walk_tokens"], color="#c0392b", label="ranking one list")
    axes[1].set_yticks(range(len(lines)), [""] * len(lines))
    axes[1].set_ylim(axes[0].get_ylim())
    axes[1].set_title("tokens a user", fontsize=9, loc="left")
    axes[1].legend(fontsize=7, frameon=False, loc="upper right")
    axes[1].xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f}k")
    _legend(figure, table)
    return figure


def _canaries(outcome: Outcome, table: pd.DataFrame) -> Figure:
    """Prompts searched, and marks found in them, agent by agent."""
    figure, axes = _panels(1, 2 * table["row"].nunique(), width=7.0)
    prompts: dict[str, Any] = dict(outcome.detail["prompts"])
    places = np.arange(len(prompts))
    marks = outcome.values.groupby("row")["value"].sum()
    axes[0].barh(places, list(prompts.values()), color="#aeb6bf", height=0.5)
    for place, (row, count) in enumerate(prompts.items()):
        marked = int(marks[row])
        colour = "#c0392b" if marked else "#1e8449"
        axes[0].text(count, place, f"  {count} prompts, {marked} marks found", va="center", fontsize=9, color=colour)
    axes[0].set_yticks(places, list(prompts), fontsize=9)
    axes[0].set_xlim(0, 1.6 * max(prompts.values()))
    axes[0].set_xlabel("prompts searched", fontsize=8)
    return figure


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    kinds = [kind for kind in COLOURS if kind in set(table["kind"])]
    marks = [Line2D([], [], color=COLOURS[kind], marker="o", label=MEANING[kind]) for kind in kinds]
    figure.legend(handles=marks, loc="outside lower right", ncols=len(marks), fontsize=8, frameon=False)


DRAWN: dict[str, Callable[[Outcome, pd.DataFrame], Any]] = {
    "ratings": _ratings,
    "position": _position,
    "setwise_value": _setwise,
    "canaries": _canaries,
}
