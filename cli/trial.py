"""`recloop try`: a few tasks of each step, request by request."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Json, Set, Study, example
from .output import print_json

app = typer.Typer()


@app.command("try", epilog=example("recloop try examples/bazaar.yaml --tasks 1 --set llm.model=gpt-4o-mini"))
def try_study(
    study: Study,
    settings: Set = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks of each step; they are asked and paid for.")] = 3,
    step: Annotated[int | None, typer.Option(help="Show this step alone, counted from 0.")] = None,
    user: Annotated[str | None, typer.Option(help="Only tasks of this user, by the data's own id.")] = None,
    as_json: Json = False,
) -> None:
    """A few tasks of each step: every prompt, reply, parse result and cost. A later run pays for none of them again."""
    from ..simulators.inspection import trial

    result = trial.try_study(study, settings or [], tasks=tasks, step=step, user=user)
    print_json(result) if as_json else print(trial.as_text(result))
    if result["stopped"]:
        raise typer.Exit(1)
