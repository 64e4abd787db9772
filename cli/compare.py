"""`recloop compare`: two runs held against each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from .options import Json, Out, example
from .output import print_json

app = typer.Typer()


@app.command(epilog=example("recloop compare toys-plain toys-reworded"))
def compare(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="A run folder, or a run's name below --out.")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="The other run; differences are B minus A.")],
    out: Out = Path("runs"),
    variant: Annotated[str, typer.Option(help="Which data of both: refined, raw, or a control.")] = "refined",
    metric: Annotated[str | None, typer.Option(help="The metric of the sentences; default ndcg@10.")] = None,
    seeds: Annotated[Literal["drawn", "fixed"], typer.Option(help="As `evaluate.seeds`.")] = "drawn",
    as_json: Json = False,
) -> None:
    """Two runs on the same data, models and seeds: paired differences, intervals, corrected p-values."""
    from ..simulators.inspection.comparison import compare as compare_runs

    result = compare_runs(first, second, out=out, variant=variant, metric=metric, seeds=seeds)
    print_json(result.as_json()) if as_json else result.show(Console(width=None if sys.stdout.isatty() else 160))
