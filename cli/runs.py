"""`recloop runs`: what run folders hold."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .options import Json, Out, example
from .output import print_json

app = typer.Typer(help="What run folders hold.", no_args_is_help=True)


@app.command("list", epilog=example("recloop runs list --out runs"))
def runs_list(out: Out = Path("runs"), as_json: Json = False) -> None:
    """Every run below a folder, with its steps and their counts."""
    from ..simulators.inspection import runs

    entries = runs.runs_list(out)
    if as_json:
        return print_json(entries)
    table = Table("run", "step", "tasks", "ok", "invalid", "failed", "calls", "table", "fidelity")
    for entry in entries:
        for step, counts in entry["steps"].items() or [("", {})]:
            figures = [str(counts.get(key, "")) for key in ("tasks", "ok", "invalid", "failed", "calls")]
            table.add_row(
                entry["name"], step, *figures, *("yes" if entry[key] else "no" for key in ("table", "fidelity"))
            )
    Console().print(table if entries else f"no run in {out}")
    for entry in entries:
        if entry["error"]:
            print(f"{entry['name']}: {entry['error']}", file=sys.stderr)


@app.command("show", epilog=example("recloop runs show bazaar"))
def runs_show(
    name: Annotated[str, typer.Argument(help="The run's name, as `runs list` has it.")],
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """One run: its report, or, before there is one, its study and counts; and what was paid for it, by agent."""
    from ..simulators.inspection import runs
    from ..simulators.studies.report import paid

    result = runs.runs_show(name, out)
    if as_json:
        return print_json(result)
    pages = [page for page in (result["report"], result["fidelity_report"]) if page]
    print("\n".join(pages) or f"{result['study']}\n{json.dumps(result['steps'], indent=2)}\nno table yet: run it again")
    for step, counts in result["steps"].items():
        if counts.get("unusable"):
            print(f"{step}: {counts['unusable']}")
    if result["usage"]:
        Console(width=None if sys.stdout.isatty() else 160).print(paid(result["usage"]))


@app.command("trace", epilog=example("recloop runs trace bazaar u0003"))
def runs_trace(
    name: Annotated[str, typer.Argument(help="The run's name, as `runs list` has it.")],
    user: Annotated[str, typer.Argument(help="The data's own user id.")],
    out: Out = Path("runs"),
    step: Annotated[
        str | None, typer.Option(help="The folder of a step; without it that of the run's settings.")
    ] = None,
    as_json: Json = False,
) -> None:
    """One user's loop, round by round: sets, rankings, reasons, mismatch, what was rewritten, kept or rolled back."""
    from ..simulators.inspection import trace

    result = trace.runs_trace(name, user, out, step=step)
    print_json(result) if as_json else print(result["text"])
