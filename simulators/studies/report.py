"""The verdict in words and tables: what a study found, against raw and against controls of the same size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ...agents.chat.meter import Spent
from ...notebook import html_of, html_of_facts
from ...recsys.evaluation import as_markdown
from ..batch.summary import Summary
from .variants import RAW, REFINED

NO_LLM = (
    "The agents' words come from the provider `offline`, TF-IDF similarity of the texts shown. It is NOT a language "
    "model: these numbers say what the loop does without one, and are the bar a language model has to clear."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `run` gives: the comparison, what was asked of the model, and the words for both."""

    name: str
    folder: str
    llm: str
    """Provider and model."""
    facts: Mapping[str, Any]
    """Of the data: users, items, interactions of each side, fingerprint."""
    edits: Mapping[str, int]
    """How many edits the agents made, by kind."""
    summaries: Mapping[str, Summary]
    """Step -> counts, calls and tokens of its tasks."""
    table: pd.DataFrame
    """`recsys.evaluation.compare`'s rows; empty where the run stopped early."""
    cells: pd.DataFrame
    metric: str
    """The headline metric."""
    stopped: str = ""
    usage: Mapping[str, Spent] = field(default_factory=dict)
    """Agent -> what all runs of this study have paid for it so far, failed attempts included."""
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Step -> what its agent reports of its records, where it does."""

    @property
    def complete(self) -> bool:
        """Every task has a record that is not a failure, and the table is there."""
        return not self.stopped and all(summary.complete for summary in self.summaries.values())

    def _repr_html_(self) -> str:
        if self.stopped:
            return html_of_facts({"study": self.name, "stopped": self.stopped, "folder": self.folder})
        return html_of(lambda console: show(self, console))

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined figures are null."""
        rows = self.table.astype(object).where(self.table.notna(), None)
        return {
            "name": self.name,
            "folder": self.folder,
            "llm": self.llm,
            "offline_is_no_llm": self.llm.startswith("offline"),
            "data": dict(self.facts),
            "edits": dict(self.edits),
            "steps": {step: summary.as_json() for step, summary in self.summaries.items()},
            "usage": {agent: asdict(spent) for agent, spent in self.usage.items()},
            "reports": {step: defined(report) for step, report in self.reports.items()},
            "metric": self.metric,
            "conclusions": conclusions(self.table, self.metric),
            "table": rows.to_dict("records"),
            "complete": self.complete,
            "stopped": self.stopped,
        }


def conclusions(table: pd.DataFrame, metric: str) -> list[str]:
    """One sentence a model: whether refined beats raw and every control beyond its interval, and where it loses."""
    said = []
    part = table[(table["metric"] == metric) & (table["variant"] == REFINED) & (table["against"] != "")]
    for name, rows in part[part["group"] == "all"].groupby("model", sort=False):
        words = [f"{_against(row)}" for row in rows.to_dict("records")]
        better = [row["low"] > 0 for row in rows.to_dict("records")]
        worse = [row["high"] < 0 for row in rows.to_dict("records")]
        same = bool((rows["difference"] == 0).all())
        if same and (rows["low"] == 0).all():
            verdict = "unchanged: this model uses nothing that the agents edited, or nothing came of it"
        elif better == [True]:
            verdict = "gains on raw, but no control of the same size was trained: whose doing it is stays open"
        elif all(better):
            verdict = "helps, beyond raw and beyond every control of the same size"
        elif better[0]:
            verdict = "gains on raw, but a control of the same size does as well or better: not the agents' doing"
        elif worse[0]:
            verdict = "HARMS"
        else:
            verdict = "no gain on raw beyond the interval"
        said.append(f"{name}: {verdict} ({'; '.join(words)})")
    guarded = part[part["group"].isin(["head", "warm"]) & (part["against"] == RAW)].to_dict("records")
    falls = [row for row in guarded if row["high"] < 0]
    return said + [f"WARNING {row['model']}: {row['group']} falls ({_against(row)})" for row in falls]


def markdown(verdict: Verdict, settings: str) -> str:
    """The whole report. Equal results give equal bytes: no times and no paid counts are in it."""
    lines = [f"# {verdict.name}", ""]
    if verdict.llm.startswith("offline"):
        lines += [f"**{NO_LLM}**", ""]
    lines += [f"Model asked: {verdict.llm}", ""]
    lines += [f"- {key}: {value}" for key, value in verdict.facts.items()]
    lines += ["", "## Asked of the model", "", *_asked(verdict.summaries), ""]
    for step, report in verdict.reports.items():
        lines += [f"## What {step} says", "", *facts_of(report), ""]
    if verdict.edits:
        lines += ["## Edits, refined against raw", "", *(f"- {kind}: {n}" for kind, n in verdict.edits.items()), ""]
    lines += ["## Conclusions", "", f"{verdict.metric}, all users, full ranking with seen items masked.", ""]
    lines += [f"- {sentence}" for sentence in conclusions(verdict.table, verdict.metric)] or ["- raw alone was trained"]
    lines += ["", "## Tables", "", as_markdown(verdict.table), "## Lists", "", *_beyond(verdict.cells), ""]
    lines += ["## Settings", "", "```yaml", settings.strip(), "```", ""]
    return "\n".join(lines)


def show(verdict: Verdict, console: Console) -> None:
    """The headline table and the conclusions, for a terminal."""
    groups = [g for g in ("head", "tail", "cold", "warm") if (verdict.table["group"] == g).any()]
    mine = verdict.table[verdict.table["metric"] == verdict.metric]
    against = [name for name in dict.fromkeys(mine["against"]) if name]
    table = Table(title=f"{verdict.name}: {verdict.metric}, mean over users and seeds, 95 % paired intervals")
    for column in ("model", "variant"):
        table.add_column(column, no_wrap=True)
    for column in ("mean", *(f"against {name}" for name in against), *groups):
        table.add_column(column, justify="right")
    lines = mine.groupby(["model", "variant"], sort=False)
    last = dict(zip(mine["model"], mine["variant"], strict=True))
    for (name, variant), rows in lines:
        alone = {row["group"]: row["mean"] for row in rows[rows["against"] == ""].to_dict("records")}
        versus = {row["against"]: row for row in rows[rows["group"] == "all"].to_dict("records") if row["against"]}
        cells = [_interval(versus[other]) if other in versus else "" for other in against]
        table.add_row(
            str(name),
            str(variant),
            f"{alone['all']:.4f}",
            *cells,
            *(f"{alone[group]:.4f}" if group in alone else "" for group in groups),
            end_section=last[name] == variant,
        )
    console.print(table)
    for sentence in conclusions(verdict.table, verdict.metric):
        console.print(f"  {sentence}", highlight=False, markup=False)
    for line in _asked(verdict.summaries):
        console.print(f"  {line.lstrip('- ')}", highlight=False, markup=False)
    if verdict.usage:
        console.print(paid(verdict.usage))
    if verdict.llm.startswith("offline"):
        console.print(f"\n{NO_LLM}", highlight=False, markup=False)


def facts_of(told: Mapping[str, Any], above: str = "") -> list[str]:
    """A line a figure, the nested ones by their path."""
    lines = []
    for name, value in told.items():
        if isinstance(value, Mapping):
            lines += facts_of(value, f"{above}{name}.") if value else [f"- {above}{name}: none"]
        else:
            figures = value if isinstance(value, list) else [value]
            shown = ", ".join(f"{one:.4f}" if isinstance(one, float) else str(one) for one in figures)
            lines.append(f"- {above}{name}: {'undefined' if value is None else shown}")
    return lines


def defined(value: Any) -> Any:
    """Undefined figures as None: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: defined(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _asked(asked: Mapping[str, Summary]) -> list[str]:
    """What every step cost when its answers were first made; the same in a resumed run."""
    lines = []
    for step, summary in asked.items():
        tasks, cost = summary.tasks, "cost unknown" if summary.cost is None else f"{summary.cost:.4f} USD"
        rates = ", ".join(f"{name} {rate:.1%}" for name, rate in summary.rates.items())
        each = f"{summary.calls / tasks:.1f} a task" if tasks else "no task"
        tokens = f"{summary.prompt_tokens} + {summary.completion_tokens} tokens"
        lines.append(f"- {step}: {tasks} tasks, {summary.calls} calls ({each}), {tokens}, {cost}; {rates}")
    return lines or ["- nothing: no step"]


def paid(usage: Mapping[str, Spent | Mapping[str, Any]]) -> Table:
    """What was paid, a row an agent, for a terminal. Not in the report: a run that found its replies paid nothing."""
    table = Table(title="Paid so far, all runs of this study")
    for column in ("agent", "calls", "lost", "prompt tokens", "completion tokens", "USD", "calls without a price"):
        table.add_column(column, justify="left" if column == "agent" else "right")
    for agent, spent in sorted(usage.items()):
        spent = spent if isinstance(spent, Spent) else Spent(**spent)
        figures = (spent.calls, spent.lost_calls, spent.prompt_tokens, spent.completion_tokens)
        table.add_row(agent, *map(str, figures), f"{spent.usd:.4f}", str(spent.unpriced_calls))
    return table


def _beyond(cells: pd.DataFrame) -> Iterable[str]:
    """Coverage and the like, mean over seeds."""
    spread = pd.DataFrame(cells["beyond"].tolist(), index=cells.index).round(4)
    if spread.empty or not len(spread.columns):
        return []
    table = pd.concat([cells[["model", "variant"]], spread], axis=1).groupby(["model", "variant"], sort=False).mean()
    head = ["model", "variant", *table.columns]
    rows = [[*key, *(f"{value:.4f}" for value in row)] for key, row in zip(table.index, table.to_numpy(), strict=True)]
    return [_line(head), "|---|---|" + "--:|" * len(table.columns), *(_line(row) for row in rows)]


def _against(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] against {row['against']}"


def _interval(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
