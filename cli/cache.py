"""`recloop cache`: the replies that are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .options import Json, Set, Study, example
from .output import print_facts, print_json

app = typer.Typer(help="The replies that are kept, so that no question is paid for twice.", no_args_is_help=True)

Cache = Annotated[Path, typer.Option("--out", help="The folder of run folders, where the cache lies, or its file.")]


@app.command("stats", epilog=example("recloop cache stats --out runs"))
def cache_stats(out: Cache = Path("runs"), as_json: Json = False) -> None:
    """How many replies of which models, how old, and what they cost."""
    from ..simulators.inspection import cache

    facts = cache.cache_stats(out)
    print_json(facts) if as_json else print_facts(facts)


@app.command("explain", epilog=example("recloop cache explain study.yaml user:17"))
def cache_explain(
    study: Study,
    task: Annotated[str | None, typer.Argument(help="Such as user:17; else the step's first task.")] = None,
    step: Annotated[int, typer.Option(help="Which of the study's steps, counted from 0.")] = 0,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Why a task would call the model: what in its first question without a reply differs from the nearest one kept."""
    from ..simulators.inspection import cache

    result = cache.cache_explain(study, task, settings or [], step=step)
    if as_json:
        return print_json(result)
    print(f"{result['step']}, {result['task']}: {result['found']} replies found, {result['missing'] or 'none'} missing")
    for line in result["differs"]:
        print(f"  {line}")


@app.command("export", epilog=example("recloop cache export replay.jsonl --out runs"))
def cache_export(
    file: Annotated[Path, typer.Argument(help="What to write, for `llm: {provider: replay, replay: FILE}`.")],
    out: Cache = Path("runs"),
    model: Annotated[str | None, typer.Option(help="Only what was asked of this one, as a study names it.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write every question and its reply, so that studies run again offline and identically."""
    from ..simulators.inspection import cache

    result = cache.cache_export(out, file, model=model, overwrite=overwrite)
    print_json(result) if as_json else print(f"{result['entries']} replies in {result['written']}")


@app.command("import", epilog=example("recloop cache import replay.jsonl --out runs"))
def cache_import(
    file: Annotated[Path, typer.Argument(help="A replay file.")], out: Cache = Path("runs"), as_json: Json = False
) -> None:
    """Take a replay file's replies into the cache."""
    from ..simulators.inspection import cache

    result = cache.cache_import(out, file)
    print_json(result) if as_json else print(f"{result['new']} new replies in {result['path']}")


@app.command("prune", epilog=example("recloop cache prune --older-than-days 90"))
def cache_prune(
    out: Cache = Path("runs"),
    older_than_days: Annotated[float | None, typer.Option(help="Delete what is older than so many days.")] = None,
    model: Annotated[str | None, typer.Option(help="Delete replies of this model, as `cache stats` names it.")] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Count what would be deleted, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Delete old replies, or those of a model; with both, old ones of that model. Asks first, or needs --yes."""
    from ..simulators.inspection import cache

    outcome = cache.cache_prune(out, older_than_days=older_than_days, model=model, yes=yes and not dry)
    if not yes and not dry and outcome["matching"] and _confirmed(outcome):
        outcome = cache.cache_prune(out, older_than_days=older_than_days, model=model, yes=True)
    if as_json:
        return print_json(outcome)
    if outcome["deleted"] or not outcome["matching"]:
        return print(f"{outcome['deleted']} replies deleted from {outcome['path']}")
    print(f"{outcome['matching']} of {outcome['entries']} replies in {outcome['path']} would be deleted; none was")


def _confirmed(outcome: dict[str, Any]) -> bool:
    question = f"Delete {outcome['matching']} of {outcome['entries']} replies from {outcome['path']} for good?"
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Say --yes, or --dry to count them; nothing was deleted")
    return typer.confirm(question, err=True)
