"""The verbs that take a study file and measure one agent's part of it: i2i, ablate."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from .options import Json, Set, Study, example
from .output import print_json

app = typer.Typer()


@app.command(epilog=example("recloop i2i examples/i2i-bazaar.yaml --set train.seeds=[0] --jobs 2"))
def i2i(
    study: Study,
    settings: Set = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    as_json: Json = False,
) -> None:
    """Train item-to-item models on generated rows and on controls of equal size. The same command resumes."""
    from ..simulators.batch import progress
    from ..simulators.i2i import report

    result = report.i2i(study, settings or [], progress=progress.watcher(), jobs=jobs)
    if as_json:
        return print_json(result.as_json())
    print(report.markdown(result, result.name, result.metric))
    print(f"Tables, curves and {report.REPORT}: {result.folder}")


@app.command(epilog=example("recloop ablate examples/bazaar.yaml --set steps.0.setwise.users=50"))
def ablate(
    study: Study,
    settings: Set = None,
    rows: Annotated[Literal["short", "all"], typer.Option(help="all: twice as many settings.")] = "short",
    negatives: Annotated[
        Literal["uniform", "popularity"], typer.Option(help="How the other items of a list are sampled.")
    ] = "uniform",
    side: Annotated[Literal["valid", "test"], typer.Option(help="Where the true item of a list is from.")] = "test",
    as_json: Json = False,
) -> None:
    """Change one setting of the set-wise loop at a time, and rank held-out lists. The same command resumes."""
    from ..simulators.batch import progress
    from ..simulators.studies import ablation

    table = ablation.ablate(
        study, settings or [], rows=rows, negatives=negatives, side=side, progress=progress.watcher()
    )
    print_json(ablation.as_json(table)) if as_json else print(ablation.as_markdown(table))
