"""`Report`: the results of a fidelity run: tables on the terminal, as Markdown and as JSON, and per-user values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ...atomic import write_text, write_whole
from ...notebook import html_of
from ..studies.run_folder import FIDELITY_PAGE
from .outcome import LEAD, Outcome

SUMMARY = "fidelity.json"
PAGE = Path(FIDELITY_PAGE).name
TITLES = {
    "agentcf": "Ranking, AgentCF protocol: the true next item among others",
    "llmrank": "Ranking, LLMRank protocol: the true next item among 19",
    "taste": "Taste discrimination 1:m",
    "ratings": "Rating alignment",
    "position": "Position bias",
    "setwise_value": "What judging in sets is worth",
    "contamination": "Contamination audit",
    "canaries": "Leakage canaries",
}
SHOWN = {
    "taste": ("auc", "accuracy", "f1", "accuracy of k"),
    "ratings": ("rmse", "mae", "bias", "tv", "js"),
}
"""Metrics of the terminal's table; the rest is in the files."""


@dataclass(frozen=True)
class Report:
    """Everything measured. `tables` and `verdicts` by protocol, as `Outcome` makes them."""

    name: str
    folder: Path
    llm: str
    data: Mapping[str, Any]
    outcomes: Mapping[str, Outcome]
    tables: Mapping[str, pd.DataFrame]
    verdicts: Mapping[str, list[dict[str, Any]]]
    seconds: Mapping[str, float]
    plots: Mapping[str, Path] = field(default_factory=dict)
    stopped: str = ""
    """Why the run ended early; the same command resumes."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is undefined is null."""
        protocols = {}
        for name, outcome in self.outcomes.items():
            protocols[name] = {
                "skipped": outcome.skipped,
                "notes": list(outcome.notes),
                "table": _plain(self.tables[name]),
                "loop against one question": self.verdicts[name],
                "costs": list(outcome.costs),
                "detail": outcome.detail,
                "seconds": round(self.seconds.get(name, 0.0), 2),
                "values": f"{name}.parquet",
                "plot": self.plots[name].name if name in self.plots else None,
            }
        content: dict[str, Any] = _nulls(
            {
                "name": self.name,
                "llm": self.llm,
                "data": dict(self.data),
                "stopped": self.stopped,
                "protocols": protocols,
            }
        )
        return content

    def _repr_html_(self) -> str:
        return html_of(lambda console: show(self, console))

    def write(self) -> None:
        """`<protocol>.parquet`, a row a value, `fidelity.json`, and `fidelity.md` for a reader."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, outcome in self.outcomes.items():
            table = outcome.values.assign(protocol=name)
            write_whole(self.folder / f"{name}.parquet", partial(table.to_parquet, index=False))
        write_text(self.folder / SUMMARY, json.dumps(self.as_json(), indent=2, default=str, allow_nan=False) + "\n")
        write_text(self.folder / PAGE, as_markdown(self))


def as_markdown(report: Report) -> str:
    """The tables of all protocols with their notes and pictures, and how to read them."""
    lines = [f"# Fidelity of {report.name}", "", f"{_facts(report.data)}. Answered by {report.llm}.", ""]
    if report.stopped:
        lines += [f"**Stopped early**: {report.stopped}. The same command resumes.", ""]
    lines += [
        "Means over users with 95 % bootstrap intervals in brackets. The last but one column is the paired difference",
        "to the best row without a language model; `n` is the number of users with a usable answer.",
        "",
    ]
    for name, outcome in report.outcomes.items():
        lines += [f"## {TITLES[name]}", ""]
        if outcome.skipped:
            lines += [f"Skipped: {outcome.skipped}.", ""]
            continue
        for table in tables_of(name, report.tables[name], outcome):
            lines += [*_markdown_table(table), ""]
        lines += [f"- {note}" for note in outcome.notes]
        lines += [
            f"- loop against one question, {verdict['variant']}, {verdict['metric']}: {verdict['difference']:+.3f} "
            f"[{verdict['low']:+.3f}, {verdict['high']:+.3f}], n {verdict['n']}: {verdict['verdict']}"
            for verdict in report.verdicts[name]
        ]
        if name in report.plots:
            lines += ["", f"![{TITLES[name]}]({report.plots[name].name})"]
        lines.append("")
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    def cell(value: object) -> str:
        return str(value).replace("|", "\\|")

    columns = [[cell(column.header), *(cell(value) for value in column.cells)] for column in table.columns]
    header, *rows = zip(*columns, strict=True)
    lines = [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(columns), *rows)]
    return [f"**{table.title}**", "", *lines]


def show(report: Report, console: Console) -> None:
    """The tables, one a protocol: a line a row, a column a metric."""
    console.print(f"[bold]{report.name}[/bold]: {_facts(report.data)}; answered by {report.llm}")
    for name, outcome in report.outcomes.items():
        console.print()
        if outcome.skipped:
            console.print(f"[bold]{TITLES[name]}[/bold]: skipped, {outcome.skipped}")
            continue
        for table in tables_of(name, report.tables[name], outcome):
            console.print(table)
        for note in outcome.notes:
            console.print(f"  {note}")
        for verdict in report.verdicts[name]:
            console.print(
                f"  loop against one question, {verdict['variant']}, {verdict['metric']}: {verdict['difference']:+.3f} "
                f"[{verdict['low']:+.3f}, {verdict['high']:+.3f}], n {verdict['n']}: {verdict['verdict']}",
                markup=False,
            )


def tables_of(name: str, measured: pd.DataFrame, outcome: Outcome) -> list[Table]:
    """One rich table a variant: mean [interval], and the difference to the best row without a model."""
    costs = {(entry["variant"], entry["row"]): entry for entry in outcome.costs}
    made = []
    for variant, part in measured.groupby("variant", sort=False):
        metrics = [m for m in dict.fromkeys(part["metric"]) if name not in SHOWN or m in SHOWN[name]]
        table = Table(title=f"{TITLES[name]} ({variant})", title_justify="left")
        table.add_column("row")
        table.add_column("n", justify="right")
        for metric in metrics:
            table.add_column(metric)
        lead = LEAD[name] if LEAD[name] in metrics else metrics[0]
        best = part.loc[part["metric"].eq(lead) & part["against"].ne(""), "against"]
        table.add_column(f"{lead} over {best.iloc[0]}" if len(best) else f"{lead} over the best")
        table.add_column("calls, tokens a list", justify="right")
        for row, own in part.groupby("row", sort=False):
            by_metric = {entry["metric"]: entry for entry in own.to_dict("records")}
            cells = [_mean(by_metric[m]) if m in by_metric else "" for m in metrics]
            paid = costs.get((variant, row))
            table.add_row(
                str(row),
                str(int(own["n"].max())),
                *cells,
                _over(by_metric[lead]) if lead in by_metric else "",
                f"{paid['calls']:.1f}, {paid['tokens']:,.0f}" if paid else "",
            )
        made.append(table)
    return made


def _mean(entry: Mapping[Any, Any]) -> str:
    return "" if pd.isna(entry["mean"]) else f"{entry['mean']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def _over(entry: Mapping[Any, Any]) -> str:
    if not entry["against"] or pd.isna(entry["difference"]):
        return ""
    return f"{entry['difference']:+.3f} [{entry['difference_low']:+.3f}, {entry['difference_high']:+.3f}]"


def _facts(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items())


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _nulls(value: Any) -> Any:
    """NaN as null: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _nulls(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_nulls(part) for part in value]
    if isinstance(value, float) and value != value:
        return None
    return value
