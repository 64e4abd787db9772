"""`i2i`: an item study with its report as Markdown, CSV and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...atomic import write_text
from ..batch.progress import Watcher
from ..studies.report import facts_of
from .config import ItemStudy
from .plots import confidence_curve, volume_curve
from .study import ItemStudyResult, study_i2i

TABLE, CURVE, REALPAIR, ROWS, REPORT = "table.csv", "curve.csv", "realpair.csv", "generated.parquet", "i2i.md"


def i2i(
    study: ItemStudy | Path | str | Mapping[str, Any],
    settings: Sequence[str] = (),
    *,
    progress: Watcher | None = None,
    jobs: int = 1,
) -> ItemStudyResult:
    """`study_i2i`, with tables, curves and report written to `study.folder`; the arguments are the same."""
    result = study_i2i(study, settings, progress=progress, jobs=jobs)
    write_result(result, result.folder, result.name, result.metric)
    return result


def write_result(result: ItemStudyResult, folder: Path, title: str, metric: str) -> Path:
    """Write the tables, the two curves and the report into `folder`; returns the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in ((TABLE, result.table), (CURVE, result.curve), (REALPAIR, result.realpair)):
        table.to_csv(folder / name, index=False, float_format="%.6f")
    result.refined.rows.to_parquet(folder / ROWS, index=False)
    volume_curve(result.curve, metric, title, folder / "volume.png")
    confidence_curve(result.curve, metric, title, folder / "confidence.png")
    write_text(folder / REPORT, markdown(result, title, metric))
    return folder / REPORT


def markdown(result: ItemStudyResult, title: str, metric: str) -> str:
    """Facts, the agents' reports, warnings, RealPair, the tables of `metric` and both curves as tables."""
    lines = [f"# {title}", "", *(f"- {name}: {value}" for name, value in result.facts.items()), ""]
    for step, report in result.refined.reports.items():
        lines += [f"## Report of {step}", "", *facts_of(report), ""]
    lines += ["## Stop rule", "", *(result.warnings or ["no model's head items or warm users fall below raw"]), ""]
    lines += ["## RealPair", "", *realpair_lines(result.realpair), ""]
    lines += [f"## {metric}", "", "Differences with 95 % intervals, paired by user; p-values are in the CSV.", ""]
    lines += [*difference_lines(result.table[result.table["metric"] == metric]), ""]
    lines += ["## Curves", "", *curve_lines(result.curve[result.curve["metric"] == metric]), ""]
    return "\n".join(lines)


def difference_lines(table: pd.DataFrame) -> list[str]:
    """Every variant against raw by group, then every refined variant against each control over all users."""
    groups = list(dict.fromkeys(table["group"]))
    lines = ["| model | variant | mean | " + " | ".join(f"{g}, vs raw" for g in groups) + " |"]
    lines.append("|---|---|--:|" + "---|" * len(groups))
    for (model, variant), part in table.groupby(["model", "variant"], sort=False):
        mean = part[(part["group"] == "all") & (part["against"] == "")]["mean"].iloc[0]
        versus = part[part["against"] == "raw"].set_index("group")
        cells = [difference(versus.loc[g]) if g in versus.index else "" for g in groups]
        if variant == "raw":
            alone = part[part["against"] == ""].set_index("group")
            cells = [f"{alone.loc[g, 'mean']:.4f} ({alone.loc[g, 'n']:,} users)" for g in groups]
        lines.append(f"| {model} | {variant} | {mean:.4f} | " + " | ".join(cells) + " |")
    others = [name for name in dict.fromkeys(table["against"]) if name not in ("", "raw")]
    if others:
        lines += ["", "| model | variant, all users | " + " | ".join(f"vs {name}" for name in others) + " |"]
        lines.append("|---|---|" + "---|" * len(others))
        some = table[(table["group"] == "all") & table["against"].isin(others)]
        for (model, variant), part in some.groupby(["model", "variant"], sort=False):
            versus = part.set_index("against")
            cells = [difference(versus.loc[name]) if name in versus.index else "" for name in others]
            lines.append(f"| {model} | {variant} | " + " | ".join(cells) + " |")
    return lines


def difference(row: pd.Series) -> str:
    """`+0.0123 [+0.0020, +0.0226]`, or nothing where no user is defined."""
    if pd.isna(row["difference"]):
        return ""
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def realpair_lines(table: pd.DataFrame) -> list[str]:
    lines = ["| variant | rows added | true | RealPair | 95 % | against random |", "|---|--:|--:|--:|---|---|"]
    for row in table.to_dict("records"):
        other = ""
        if pd.notna(row.get("difference")):
            other = f"{row['difference']:+.5f} [{row['difference_low']:+.5f}, {row['difference_high']:+.5f}]"
        lines.append(
            f"| {row['variant']} | {row['rows']:,.0f} | {row['true']:.1f} | {row['realpair']:.5f} | "
            f"[{row['low']:.5f}, {row['high']:.5f}] | {other} |"
        )
    return lines


def curve_lines(curve: pd.DataFrame) -> list[str]:
    """One table for each order and model: a row a share, a column a group."""
    lines = []
    for (order, model), part in curve.groupby(["order", "model"], sort=False):
        groups = list(dict.fromkeys(part["group"]))
        lines += [f"### {order}, {model}", "", "| share | rows | cut | " + " | ".join(groups) + " |"]
        lines += ["|--:|--:|--:|" + "---|" * len(groups)]
        for share, row in part.groupby("share", sort=True):
            by_group = row.set_index("group")
            cells = [difference(by_group.loc[g]) for g in groups]
            cut = row["cut"].iloc[0]
            least = f"{cut:.3f}" if pd.notna(cut) else ""
            lines.append(f"| {share:g} | {row['rows'].iloc[0]:,} | {least} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines
