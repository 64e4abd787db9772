"""Figures of a gate (PNG): its mean and weights epoch by epoch, where it opens, and how reliable the LLM is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from recloop.recsys.data.dataset import Dataset
from recloop.recsys.guidance.guided import Guided

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98", "#5d6d7e", "#d35400")
Openings = tuple[npt.NDArray[np.float64], list[str], list[str]]
"""(bins of users, bins of items) mean of what the gate makes of single scored pairs, NaN where there is none; and the
names of the bins, from short histories and from rare items on."""

BINS = 6
"""Of history length and of popularity, in the figure of where the gate opens."""


def draw_gates(logs: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Left: the mean weight of the pairs by epoch, a line a gate. Then, a panel a gate, its weights.

    logs: `Guided.gate_log()` by the name that the figure gives it.
    """
    figure, axes = _panels(1 + len(logs), height=3.6)
    for (name, log), colour in zip(logs.items(), COLOURS, strict=False):
        axes[0].plot(log["epoch"], log["mean"], color=colour, label=name)
    axes[0].set(title="mean weight of the pairs", xlabel="epoch", ylim=(0, None))
    axes[0].legend(frameon=False, fontsize=8)
    for axis, (name, log) in zip(axes[1:], logs.items(), strict=False):
        for place, column in enumerate(log.columns[list(log.columns).index("bias") :]):
            axis.plot(log["epoch"], log[column], color=COLOURS[place % len(COLOURS)], label=column)
        axis.set(title=f"{name}: bias and weights", xlabel="epoch")
        axis.axhline(0, color="#bbbbbb", linewidth=0.8)
        axis.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return _saved(figure, path)


def draw_openings(tables: Mapping[str, Openings], path: Path) -> Path:
    """A panel a model, what `openings` says of it: shades from 0, unheard, to the highest weight of all panels."""
    figure, axes = _panels(len(tables), height=3.6)
    most = max([0.01, *(float(np.nanmax(table)) for table, _, _ in tables.values())])
    for axis, (name, (table, users, items)) in zip(axes, tables.items(), strict=False):
        image = axis.imshow(table, origin="lower", cmap="viridis", vmin=0, vmax=most, aspect="auto")
        axis.set_xticks(range(table.shape[1]), items, fontsize=7, rotation=40)
        axis.set_yticks(range(table.shape[0]), users, fontsize=7)
        axis.set(xlabel="popularity of the item", ylabel="length of the history", title=name)
        for (y, x), value in np.ndenumerate(table):
            if not np.isnan(value):
                ink = "w" if value < 0.6 * most else "k"
                axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        figure.colorbar(image, ax=axis, fraction=0.046)
    return _saved(figure, path)


def openings(guided: Guided, train: Dataset) -> Openings:
    """How far a trained gate is open, by history length and popularity, over all scored pairs."""
    import torch

    assert guided.guidance is not None
    assert guided.gate is not None
    scores = guided.guidance.scores
    with torch.no_grad():
        heard = guided.gate.heard(guided.gate.every()).numpy()
    length, users = _bins(train.user_counts[scores.user])
    count, items = _bins(train.item_counts[scores.item])
    summed, number = np.zeros((2, len(users), len(items)))
    np.add.at(summed, (length, count), heard)
    np.add.at(number, (length, count), 1)
    return np.divide(summed, number, out=np.full_like(summed, np.nan), where=number > 0), users, items


def draw_reliability(tables: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Left by history length, right by popularity: the LLM's agreement with what was taken, with 95 % intervals."""
    figure, axes = _panels(2)
    for axis, by in zip(axes, ("history length", "popularity"), strict=True):
        for (name, table), colour in zip(tables.items(), COLOURS, strict=False):
            part = table[table["by"] == by]
            error = np.abs(part[["low", "high"]].to_numpy().T - part["agreement"].to_numpy())
            axis.errorbar(
                part["decile"], part["agreement"], error, color=colour, label=name, capsize=2, marker="o", ms=3
            )
        axis.axhline(0.5, color="#bbbbbb", linewidth=0.8, linestyle=":")
        axis.set(title=f"agreement by {by}", xlabel=f"decile of {by}", ylim=(0, 1))
        axis.legend(frameon=False, fontsize=8)
    return _saved(figure, path)


def _bins(counts: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Each count's bin, of about as many rows each, and the bins' names."""
    cuts = np.unique(np.quantile(counts, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    bins = np.searchsorted(cuts, counts, side="left")
    present = np.unique(bins)
    return np.searchsorted(present, bins), [f"{counts[bins == b].min()}-{counts[bins == b].max()}" for b in present]


def _panels(count: int, height: float = 3.0) -> tuple[Any, list[Axes]]:
    """At least `count` panels, four a line; those left over stay empty."""
    # The object interface alone: pyplot keeps figures alive and wants a display.
    from matplotlib.figure import Figure

    wide, high = min(count, 4), -(-count // 4)
    figure = Figure(figsize=(4.3 * wide, height * high), layout="constrained")
    axes = list(figure.subplots(high, wide, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes


def _saved(figure: Any, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    for axis in figure.axes:
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")
    return path
