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
from ...recsys.evaluation import as_markdown, holm, p_value
from ..batch.summary import Summary
from .forest_plot import ALPHA, forest_plot
from .html_report import html_page
from .variants import ORACLE, POPULARITY, RAW, REFINED

USABLE = 0.5
"""Smallest share of usable records that makes a step complete."""

BOUND = "oracle - raw"
"""Label of the upper bound in the forest plot."""

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

    balance: pd.DataFrame = field(default_factory=pd.DataFrame)
    """`recsys.controls.balance`'s rows: what edit and controls have in common."""
    seeds: str = "drawn"
    """Whether intervals cover training seeds, as `evaluate.seeds`."""
    truth: Mapping[str, float] = field(default_factory=dict)
    """`removal_accuracy` of refined, where `oracle` was trained."""

    @property
    def complete(self) -> bool:
        """The table is there, no task failed, and at least half of each step's records are usable."""
        enough = all(summary.ok >= USABLE * summary.tasks for summary in self.summaries.values())
        return not self.stopped and enough and all(summary.complete for summary in self.summaries.values())

    @property
    def answered_offline(self) -> bool:
        """The study has steps, and no language model answered them."""
        return bool(self.summaries) and self.llm.startswith("offline")

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
            "conclusions": conclusions(self.table, self.metric, self.summaries),
            "table": rows.to_dict("records"),
            "truth": defined(self.truth),
            "balance": defined(self.balance.to_dict("records")),
            "complete": self.complete,
            "stopped": self.stopped,
        }


def conclusions(table: pd.DataFrame, metric: str, summaries: Mapping[str, Summary] | None = None) -> list[str]:
    """The verdict in sentences: unusable records of each step, a sentence a model, and groups that fall.

    A model's words follow p-values corrected over all models and comparisons of the headline metric (Holm), never the
    uncorrected intervals beside them. A fall of head items or warm users is corrected over all such tests.
    """
    sentences = [_usable(step, summary) for step, summary in (summaries or {}).items() if summary.tasks]
    part = table[(table["metric"] == metric) & (table["variant"] == REFINED) & (table["against"] != "")]
    for name, rows in part[part["group"] == "all"].groupby("model", sort=False):
        comparisons = rows.to_dict("records")
        words = "; ".join(f"{_against(row)} {p_value(row['p_holm'])}" for row in comparisons)
        sentences.append(f"{name}: {_words(comparisons)} ({words})")
        sentences += _upper_bound(table, metric, str(name), comparisons[0])
    guards = part[part["group"].isin(["head", "warm"]) & (part["against"] == RAW)].to_dict("records")
    for row, p in zip(guards, holm([row["p"] for row in guards]), strict=True):
        if row["difference"] < 0 and p <= ALPHA:
            sentences.append(f"WARNING {row['model']}: {row['group']} falls ({_against(row)} {p_value(p)})")
    return sentences


def _words(comparisons: Sequence[Mapping[Any, Any]]) -> str:
    """What the corrected comparisons of one model amount to; raw comes first, then the controls."""
    better = [row["difference"] > 0 and row["p_holm"] <= ALPHA for row in comparisons]
    if all(row["difference"] == row["low"] == row["high"] == 0 for row in comparisons):
        return "unchanged: this model uses nothing that the agents edited, or nothing came of it"
    if better == [True]:
        return "gains on raw, but no control of the same size was trained: whose doing it is stays open"
    if all(better) and POPULARITY not in {row["against"] for row in comparisons}:
        return (
            "gains on raw and on the controls, but none of them is matched on popularity: whose doing it is stays open"
        )
    if all(better):
        return "helps, beyond raw and beyond every control of the same size"
    if better[0]:
        others = [row["against"] for row, one in zip(comparisons, better, strict=True) if not one]
        return f"gains on raw, but not beyond {' and '.join(others)}: not the agents' doing, as far as this can tell"
    if comparisons[0]["difference"] < 0 and comparisons[0]["p_holm"] <= ALPHA:
        return "HARMS"
    return "no gain on raw beyond chance"


def _upper_bound(table: pd.DataFrame, metric: str, name: str, refined: Mapping[Any, Any]) -> list[str]:
    """What removing exactly the planted noise gains, where `oracle` was trained; refined: its row against raw."""
    of = (table["model"] == name) & (table["variant"] == ORACLE) & (table["metric"] == metric)
    rows = table[of & (table["group"] == "all") & (table["against"] == RAW)].to_dict("records")
    if not rows or rows[0]["difference"] == rows[0]["low"] == rows[0]["high"] == 0:  # no noise, nothing to gain
        return []
    [row] = rows
    share = ""
    if row["difference"] > 0 and row["p_holm"] <= ALPHA:
        share = f"; refined reaches {refined['difference'] / row['difference']:.0%} of it"
    return [f"{name}: upper bound, the planted noise removed exactly: {_against(row)} {p_value(row['p_holm'])}{share}"]


def _usable(step: str, summary: Summary) -> str:
    unusable = summary.tasks - summary.ok
    share = f"{unusable} of {summary.tasks} records unusable ({unusable / summary.tasks:.1%})"
    if not summary.ok:
        return f"NOTHING LEARNT {step}: {share}; this step changed nothing, so that no difference is its doing"
    few = summary.ok < USABLE * summary.tasks
    return f"{step}: {share}{'; too few are usable for a verdict on the agent' if few else ''}"


READING = """\
**Intervals and p.** `+0.0123 [+0.0020, +0.0226] p=.012` is the mean difference over users, its 95 % interval, and a
two-sided p. Both come from one bootstrap that resamples users{seeds}. The interval is not corrected for the number of
comparisons; the p is (Holm, over all models and comparisons of one metric and group, controls against raw apart). So an
interval may exclude 0 beside a p above .05: the conclusions follow the p.

**Columns.** `users`: users for whom the metric is defined; `seeds`: training seeds averaged; `mean`: over these users
and seeds; `vs X`: this variant minus X. **Groups.** head, tail: held-out items that are popular or rare in train; cold,
warm: users with a short or long history in train. **Variants.** raw: the log as it is; refined: after the agents;
random_edit: as many edits on random rows of like place in the history and user activity; popularity_edit: on rows of
like popularity, too; facts_only: raw with vectors of the catalogue's own texts;
oracle: raw without exactly the planted noise, known only to the evaluation: an upper bound and no control to beat.

**Words.** *helps*: above raw and above every control, popularity_edit among them. *gains on raw*: above raw, but
not above every control, or without popularity_edit.
*HARMS*: below raw. *no gain*: none of these. More: docs/verdict.md.
"""


def markdown(verdict: Verdict, settings: str) -> str:
    """The whole report. Equal results give equal bytes: no times and no paid counts are in it."""
    lines = [f"# {verdict.name}", ""]
    if verdict.answered_offline:
        lines += [f"**{NO_LLM}**", ""]
    lines += ["## Conclusions", "", f"{verdict.metric}, all users, full ranking with seen items masked.", ""]
    sentences = conclusions(verdict.table, verdict.metric, verdict.summaries)
    lines += [f"- {sentence}" for sentence in sentences] or ["- raw alone was trained"]
    seeds = " and training seeds" if verdict.seeds == "drawn" else ""
    lines += ["", "## How to read this", "", READING.format(seeds=seeds)]
    if len(verdict.balance):
        lines += ["## Balance of edit and controls", "", *balance_lines(verdict.balance), ""]
    lines += ["## Data and model", "", f"Model asked: {verdict.llm}", ""]
    lines += [f"- {key}: {value}" for key, value in verdict.facts.items()]
    lines += ["", "## InvocationUsage of the model", "", *_summary_lines(verdict.summaries), ""]
    for step, report in verdict.reports.items():
        lines += [f"## Report of {step}", "", *facts_of(report), ""]
    if verdict.truth:
        lines += ["## Removed rows against the planted noise", "", *facts_of(defined(verdict.truth)), ""]
    if verdict.edits:
        lines += ["## Edits, refined against raw", "", *(f"- {kind}: {n}" for kind, n in verdict.edits.items()), ""]
    lines += ["## Tables", "", as_markdown(verdict.table), "## Lists", "", *_beyond(verdict.cells), ""]
    lines += ["## Settings", "", "```yaml", settings.strip(), "```", ""]
    return "\n".join(lines)


def html(verdict: Verdict, settings: str) -> str:
    """The same report as one HTML file, with a forest plot of the headline comparisons."""
    table = verdict.table
    part = table[(table["metric"] == verdict.metric) & (table["group"] == "all") & (table["against"] != "")]
    bound = part["variant"] == ORACLE
    part = part.assign(against=part["against"].mask(bound, BOUND))[bound | (part["variant"] == REFINED)]
    figure = forest_plot(part, verdict.metric) if len(part) else ""
    legend = "Filled: corrected p at most .05. Bars: 95 % intervals, uncorrected. Dashed: no difference."
    if bound.any():
        legend += f" {BOUND}: the upper bound, raw without the planted noise against raw."
    legend = f"<p>{legend}</p>"
    figures = {"Conclusions": figure + legend} if figure else {}
    return html_page(verdict.name, markdown(verdict, settings), figures)


def balance_lines(balance: pd.DataFrame) -> list[str]:
    """The balance table with a sentence on each of its columns."""
    head = ["edit", "variant", "n", "popularity", "rank", "place from the end", "user activity", "shared"]
    lines = [
        "Means over the edited rows (first training seed). popularity: interactions of the item in raw; rank: of the "
        "item by popularity, 1 the most popular; place from the end: 1 is the newest row of the history; activity: "
        "length of the history; shared: share of the edits that refined makes as well (a control that shares most of "
        "them leaves little to find).",
        "",
        _line(head),
        "|---|---|" + "--:|" * (len(head) - 2),
    ]
    for row in balance.sort_values("edit", kind="stable").to_dict("records"):
        means = [row[column] for column in ("popularity", "rank", "place", "activity")]
        figures = ["–" if math.isnan(mean) else f"{mean:.1f}" for mean in means]
        shared = "–" if math.isnan(row["shared"]) else f"{row['shared']:.2f}"
        lines.append(_line([row["edit"], row["variant"], row["n"], *figures, shared]))
    return lines


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
    for sentence in conclusions(verdict.table, verdict.metric, verdict.summaries):
        console.print(f"  {sentence}", highlight=False, markup=False)
    for line in _summary_lines(verdict.summaries):
        console.print(f"  {line.lstrip('- ')}", highlight=False, markup=False)
    if verdict.usage:
        console.print(paid(verdict.usage))
    if verdict.answered_offline:
        console.print(f"\n{NO_LLM}", highlight=False, markup=False)


def facts_of(report: Mapping[str, Any], above: str = "") -> list[str]:
    """A line a figure, the nested ones by their path."""
    lines = []
    for name, value in report.items():
        if isinstance(value, Mapping):
            lines += facts_of(value, f"{above}{name}.") if value else [f"- {above}{name}: none"]
        else:
            figures = value if isinstance(value, list) else [value]
            text = ", ".join(f"{one:.4f}" if isinstance(one, float) else str(one) for one in figures)
            lines.append(f"- {above}{name}: {'undefined' if value is None else text}")
    return lines


def defined(value: Any) -> Any:
    """Undefined figures as None: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: defined(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _summary_lines(summaries: Mapping[str, Summary]) -> list[str]:
    """The cost of every step when its replies were first made; the same in a resumed run."""
    lines = []
    for step, summary in summaries.items():
        tasks, cost = summary.tasks, "cost unknown" if summary.cost is None else f"{summary.cost:.4f} USD"
        rates = ", ".join(f"{name} {rate:.1%}" for name, rate in summary.rates.items() if not math.isnan(rate))
        each = f"{summary.calls / tasks:.1f} a task" if tasks else "no task"
        tokens = f"{summary.prompt_tokens} + {summary.completion_tokens} tokens"
        lines.append(
            f"- {step}: {tasks} tasks, {summary.calls} calls ({each}), {tokens}, {cost}{'; ' if rates else ''}{rates}"
        )
        if summary.unusable:
            lines.append(f"  - {summary.unusable}")
    return lines or ["- nothing: the study has no steps"]


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
