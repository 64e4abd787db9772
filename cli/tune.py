"""`recloop tune`, a search for hyperparameters, and `recloop tune-lm`, the tuning of a language model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .options import Json, Set, example
from .output import console, print_json

app = typer.Typer()


@app.command(epilog=example("recloop tune examples/tune/ml-100k.yaml --set tune.trials=10 --best found.yaml"))
def tune(
    search: Annotated[Path, typer.Argument(help="A search file (YAML): data, train, tune.")],
    settings: Set = None,
    best: Annotated[Path | None, typer.Option(help="A second place for best.yaml, the study file it makes.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --best replace a file that is not of this search.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search hyperparameters on the validation side, within a budget. The same command resumes."""
    from ..recsys.tuning import tune as search_for

    result = search_for(
        search, settings or [], best=best, overwrite=overwrite, progress=lambda line: print(line, file=sys.stderr)
    )
    if as_json:
        print_json(result.as_json())
    else:
        table = Table("model", f"{result.metric}, validation", "defaults", "trial", "of", "failed", "hyperparameters")
        for name, trial in result.best.items():
            table.add_row(name, *_figures(trial), ", ".join(f"{k}: {v}" for k, v in trial["hyperparameters"].items()))
        console(160).print(table)
        print(
            f"Every trial: {result.folder}/trials.csv; a study with the best of each model: {result.folder}/best.yaml"
        )
    missing = set(result.table["model"]) - set(result.best)
    if missing:
        print(f"no trial of {', '.join(sorted(missing))} succeeded; trials.csv says why", file=sys.stderr)
        raise typer.Exit(1)


@app.command("tune-lm", epilog=example("recloop tune-lm examples/tune-lm.yaml models/denoiser --device cuda"))
def tune_lm(
    file: Annotated[Path, typer.Argument(help="A YAML file: data (or windows), tune_lm.")],
    out: Annotated[Path, typer.Argument(help="The new folder for the adapter, or the model, and its card.")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto is a GPU where there is one.")] = "auto",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Tune a local language model on the train side's sequences. The same command resumes."""
    from ..agents.tuning import tune_lm as learn

    tuned = learn(file, out, settings or [], device=device, progress=lambda line: print(line, file=sys.stderr))
    if as_json:
        return print_json(tuned.card)
    summary = f"epoch {tuned.card['best_epoch']}, validation {tuned.card['valid_loss']:.4f} nats a token of the answers"
    print(f"{summary}\nkept in {tuned.folder}; what it was made of: {tuned.folder}/card.md")


def _figures(trial: dict[str, Any]) -> list[str]:
    defaults = "-" if trial["defaults"] is None else f"{trial['defaults']:.4f}"
    return [f"{trial['value']:.4f}", defaults, str(trial["trial"]), str(trial["trials"]), str(trial["failed"])]
