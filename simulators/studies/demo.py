"""`demo`: a study whose answer is known, twice: with planted noise, where the gain is true, and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...errors import RunError
from ...recsys.evaluation import p_value
from ..batch.progress import Watcher
from .report import NO_LLM, Verdict, conclusions
from .run import run
from .run_folder import PAGE
from .template import EXAMPLES
from .variants import RAW

STUDY = EXAMPLES / "demo.yaml"
CLEAN = ("name=demo-clean", "data.noise=0")
"""Settings of the second run: the same world and the same step, and nothing to find."""
NEXT = ("recloop init ratings.csv --items movies.csv", "recloop run study.yaml")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The verdicts of both runs."""

    planted: Verdict
    clean: Verdict

    @property
    def pages(self) -> list[Path]:
        """The HTML reports."""
        return [Path(verdict.folder) / PAGE for verdict in (self.planted, self.clean)]

    def as_json(self) -> dict[str, Any]:
        pages = [str(page) for page in self.pages]
        return {"planted": self.planted.as_json(), "clean": self.clean.as_json(), "pages": pages, "next": list(NEXT)}


def demo(
    out: Path | str = "runs", settings: Sequence[str] = (), *, jobs: int = 2, progress: Watcher | None = None
) -> DemoResult:
    """Answer `examples/demo.yaml` with its planted noise and once more without noise; resumes what is there.

    out: the folder of run folders. settings: `key=value` changes for both runs. jobs: trainings at a time. Raises
    RunError where a run stops early.
    """
    planted, clean = (
        run(STUDY, [*settings, f"out={out}", *changes], jobs=jobs, progress=progress) for changes in ((), CLEAN)
    )
    for verdict in (planted, clean):
        if verdict.stopped:
            raise RunError(f"{verdict.name} stopped: {verdict.stopped}; the same command resumes")
    return DemoResult(planted, clean)


def show_demo(result: DemoResult, console: Console) -> None:
    """The story for a terminal: what was planted, what was removed, tables, verdicts, reports and what to type next."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    for title, verdict in (("With planted noise", result.planted), ("Without noise", result.clean)):
        truth, facts = verdict.truth, verdict.facts
        say(f"\n{title} ({verdict.name})\n")
        say(
            f"  Planted: {truth['planted']:,} of {truth['rows']:,} train rows are noise; "
            f"{facts['users']:,} users, {facts['items']:,} items. The agent is not told which."
        )
        right = f"{truth['both']:,} of them noise"
        if truth["planted"] and truth["removed"]:
            right += f" (precision {truth['precision']:.2f}, recall {truth['recall']:.2f})"
        say(f"  Removed by the agent: {truth['removed']:,} rows, {right}.\n")
        console.print(_table(verdict))
    say("\nVerdict")
    for title, verdict in (("with planted noise", result.planted), ("without noise", result.clean)):
        sentences = conclusions(verdict.table, verdict.metric, verdict.summaries)
        models = tuple(f"{model}: " for model in dict.fromkeys(verdict.table["model"]))
        for sentence in sentences:
            if sentence.startswith((*models, "WARNING", "NOTHING")):
                say(f"  {title}, {sentence}")
    say(f"\n{NO_LLM}")
    say("\nReports with all tables and a forest plot, to open in a browser:")
    for page in result.pages:
        say(f"  {page}")
    say("\nNext, with a log of your own:")
    for command in NEXT:
        say(f"  {command}")


def _table(verdict: Verdict) -> Table:
    """Every model and variant against raw, headline metric."""
    rows = verdict.table[(verdict.table["metric"] == verdict.metric) & (verdict.table["group"] == "all")]
    table = Table("model", "variant", verdict.metric, "against raw, 95 % interval", "corrected p")
    for (model, variant), part in rows.groupby(["model", "variant"], sort=False, observed=True):
        by_other = {row["against"]: row for row in part.to_dict("records")}
        versus = by_other.get(RAW)
        cells = ["", ""]
        if versus is not None:
            interval = f"[{versus['low']:+.4f}, {versus['high']:+.4f}]"
            cells = [f"{versus['difference']:+.4f} {interval}", p_value(versus["p_holm"]).removeprefix("p").lstrip("=")]
        name = f"{variant} (upper bound)" if variant == "oracle" else str(variant)
        table.add_row(str(model), name, f"{by_other['']['mean']:.4f}", *cells)
    return table
