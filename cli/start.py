"""`recloop init`, a study file to begin with, and `recloop schema`, which lets editors check and complete it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import Json, Out, Set, example
from .output import console, print_json

app = typer.Typer()


@app.command(epilog=example("recloop demo --jobs 2"))
def demo(
    out: Out = Path("runs"),
    settings: Set = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 2,
    as_json: Json = False,
) -> None:
    """See a true gain shown and a false one refused: built-in data with planted noise, and without. No model needed."""
    from ..simulators.batch import progress
    from ..simulators.studies import demo as demo_study

    result = demo_study.demo(out, settings or [], jobs=jobs, progress=progress.watcher())
    if as_json:
        return print_json(result.as_json())
    demo_study.show_demo(result, console(110))


@app.command(epilog=example("recloop init ratings.csv --items movies.csv"))
def init(
    log: Annotated[
        Path | None,
        typer.Argument(metavar="[LOG]", help="Interactions: CSV, TSV, Parquet, .inter; else built-in data."),
    ] = None,
    items: Annotated[Path | None, typer.Option(help="The table of items, with their titles.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; else study.yaml, or the example's name.")] = None,
    from_example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="Copy an example of recloop, such as bazaar.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a commented study file for a log of your own. Nothing is replaced."""
    from ..simulators.studies import template

    written = template.init(log, out, items=items, example=from_example)
    if as_json:
        return print_json(written)
    if written["data"]:
        print(", ".join(f"{count:,} {name}" for name, count in written["data"].items()))
    print(f"written: {written['study']}\nnext: look through it, then `recloop run {written['study']}`")


@app.command(epilog=example("recloop schema > study.schema.json"))
def schema(
    kind: Annotated[
        Literal["study", "refine", "tune", "tune-lm"], typer.Argument(help="Which kind of file it describes.")
    ] = "study",
    as_json: Annotated[bool, typer.Option("--json", help="The same: a schema is JSON.")] = False,
) -> None:
    """The JSON schema of a YAML file, by which editors check and complete it."""
    from ..simulators.inspection import schema as schemas

    print_json(schemas.schema(kind))
