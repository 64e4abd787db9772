"""`recloop list`: the names that a study can write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from .options import Json, example
from .output import print_json

app = typer.Typer(
    help="The names that a study can write: models, steps, metrics, sources, prompts.", no_args_is_help=True
)


@app.command("models", epilog=example("recloop list models"))
def list_models(as_json: Json = False) -> None:
    """Recommenders, for `train.models`."""
    from ..simulators.inspection import listing

    _print(listing.list_models(), as_json)


@app.command("steps", epilog=example("recloop list steps"))
def list_steps(as_json: Json = False) -> None:
    """Agents, for `steps`."""
    from ..simulators.inspection import listing

    _print(listing.list_steps(), as_json)


@app.command("metrics", epilog=example("recloop list metrics --json"))
def list_metrics(as_json: Json = False) -> None:
    """Metrics, for `evaluate.metrics`, each with a cutoff: `ndcg@10`."""
    from ..simulators.inspection import listing

    _print(listing.list_metrics(), as_json)


@app.command("sources", epilog=example("recloop list sources"))
def list_sources(as_json: Json = False) -> None:
    """Readers of data, for `data.source`."""
    from ..simulators.inspection import listing

    _print(listing.list_sources(), as_json)


@app.command("prompts", epilog=example("recloop list prompts"))
def list_prompts(as_json: Json = False) -> None:
    """Prompts, for `recloop prompts show` and for a folder of your own wordings."""
    from ..simulators.inspection import listing

    _print(listing.list_prompts(), as_json)


def _print(entries: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        return print_json(entries)
    table = Table("name", "what it is")
    for entry in entries:
        table.add_row(entry["name"], entry["description"])
    Console().print(table)


def completion(kind: str) -> Callable[[str], list[str]]:
    """Names of a kind (`models`), for the shell's completion of an argument."""

    def names(incomplete: str) -> list[str]:
        from ..simulators.inspection import listing

        entries: list[dict[str, Any]] = getattr(listing, f"list_{kind}")()
        return [entry["name"] for entry in entries if entry["name"].startswith(incomplete)]

    return names
