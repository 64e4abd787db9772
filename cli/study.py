"""The verbs that take a study file: run, estimate, fidelity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .options import Json, Log, Set, Study, example
from .output import console, print_json

app = typer.Typer()


@app.command(epilog=example("recloop run examples/bazaar.yaml --set train.epochs=3 --set llm.concurrency=16"))
def run(
    study: Study,
    settings: Set = None,
    retry_failed: Annotated[bool, typer.Option(help="Ask failed tasks again.")] = False,
    retry_invalid: Annotated[bool, typer.Option(help="Ask tasks whose reply could not be used again.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N tasks of each step: to look at.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    log: Log = "warning",
    log_json: Annotated[bool, typer.Option(help="Logs and progress as JSON lines.")] = False,
    as_json: Json = False,
) -> None:
    """Answer a study: ask its agents, fold, retrain, compare. The same command resumes what was cut off."""
    from ..logs import set_up_logs
    from ..simulators.batch import progress
    from ..simulators.studies.report import show
    from ..simulators.studies.run import run as run_study
    from ..simulators.studies.run_folder import PAGE, REPORT

    set_up_logs(log, as_json=log_json)
    watch = progress.watcher(json_lines=log_json)
    verdict = run_study(
        study,
        settings or [],
        retry_failed=retry_failed,
        retry_invalid=retry_invalid,
        limit=limit,
        jobs=jobs,
        progress=watch,
    )
    for step, summary in verdict.summaries.items():
        if summary.unusable:
            print(f"{step}: {summary.unusable}", file=sys.stderr)
    if limit is not None:
        print(f"limited to the first {limit} task(s) of each step: no verdict on the study", file=sys.stderr)
    if as_json:
        print_json(verdict.as_json())
    elif verdict.stopped:
        print(f"stopped: {verdict.stopped}\nThe same command resumes; records and replies are kept in {verdict.folder}")
    else:
        show(verdict, console(240))
        folder = Path(verdict.folder)
        print(f"\nRun folder: {folder} (the whole report: {folder / REPORT}, and with a plot {folder / PAGE})")
    if not verdict.complete:
        failed = sum(summary.failed for summary in verdict.summaries.values())
        if failed:
            print(f"{failed} task(s) failed; `recloop run {study} --retry-failed` asks them again", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog=example("recloop estimate study.yaml --set llm.model=gpt-4o-mini --set llm.prices=prices.yaml"))
def estimate(
    study: Study,
    settings: Set = None,
    tasks: Annotated[int, typer.Option(help="Tasks of each step to sample; they are asked and paid for.")] = 5,
    dry: Annotated[bool, typer.Option(help="Ask nobody: walk the tasks offline and count tokens by length.")] = False,
    as_json: Json = False,
) -> None:
    """Calls, tokens, dollars and time that a study has still to spend, from a sample, with an interval."""
    from ..simulators.studies import estimate as estimating

    figures = estimating.estimate(study, settings or [], tasks=tasks, dry=dry)
    print_json(figures) if as_json else _print_estimate(figures)


@app.command(epilog=example("recloop fidelity examples/bazaar.yaml --set fidelity.users=100"))
def fidelity(
    study: Annotated[Path, typer.Argument(help="A study file (YAML); its fidelity section says what is measured.")],
    settings: Set = None,
    plots: Annotated[bool, typer.Option(help="Draw a picture a protocol.")] = True,
    as_json: Json = False,
) -> None:
    """Is the simulated user believable? Measure it beside rows without a model. The same command resumes."""
    from ..simulators.batch import progress
    from ..simulators.fidelity import report as reports
    from ..simulators.fidelity.suite import fidelity as measure

    report = measure(study, settings or [], plots=plots, progress=progress.watcher())
    if as_json:
        print_json(report.as_json())
    else:
        reports.show(report, console(240))
        print(f"\nPer-user values, pictures, {reports.PAGE} and {reports.SUMMARY}: {report.folder}")
    if report.stopped:
        print(f"stopped: {report.stopped}\nThe same command resumes", file=sys.stderr)
        raise typer.Exit(1)


def _print_estimate(figures: dict[str, Any]) -> None:
    table = Table("step", "tasks left", "calls", "prompt tokens", "completion tokens", "USD", "hours")
    for step in figures["steps"]:
        table.add_row(step["step"], str(step["tasks"] - step["finished"]), *_estimated(step["left"]))
    table.add_row("in all", "", *_estimated(figures["total"]))
    console(160).print(table)
    origin = "counted by length, nothing was asked" if figures["dry"] else "asked, counted and kept"
    sampled = sum(step["sampled"] for step in figures["steps"])
    print(f"From {sampled} sampled task(s), {origin}; in brackets, 95 % intervals. Model: {figures['model']}.")
    for step in figures["steps"]:
        if step["not_ok"]:
            print(f"{step['step']}: {step['not_ok']} of {step['sampled']} sampled task(s) had no usable reply")
        if step["extrapolated"]:
            print(f"{step['step']}: on the data as earlier steps change them with the replies of provider offline")
        if step["lower_bound"]:
            print(f"{step['step']}: a lower bound, for it reads what earlier steps have not made yet")


def _estimated(figures: dict[str, dict[str, float] | None]) -> list[str]:
    cells = []
    for name in ("calls", "prompt_tokens", "completion_tokens", "usd", "seconds"):
        figure, by, decimals = figures[name], 3600 if name == "seconds" else 1, 2 if name in ("usd", "seconds") else 0
        mean, low, high = (f"{value / by:,.{decimals}f}" for value in (figure or dict.fromkeys("abc", 0.0)).values())
        cells.append("-" if figure is None else f"{mean} [{low}, {high}]")
    return cells
