"""`recloop prompts`: the wording of every step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .listing import completion
from .options import Json, Set, example
from .output import print_json

app = typer.Typer(help="The wording of every step.", no_args_is_help=True)

Wordings = Annotated[Path | None, typer.Option("--prompts", help="A folder of your own wordings.")]


@app.command("list", epilog=example("recloop prompts list"))
def prompts_list(prompts: Wordings = None, as_json: Json = False) -> None:
    """Every prompt with its version and what it is for."""
    from ..simulators.inspection import prompts as wordings

    entries = wordings.prompts_list(prompts)
    if as_json:
        return print_json(entries)
    table = Table("prompt", "digest", "notes")
    for entry in entries:
        table.add_row(entry["name"], entry["digest"], entry["notes"].lstrip("# "))
    Console().print(table)


@app.command("show", epilog=example("recloop prompts show setwise/assess"))
def prompts_show(
    name: Annotated[str, typer.Argument(help="Such as setwise/assess.", autocompletion=completion("prompts"))],
    prompts: Wordings = None,
    as_json: Json = False,
) -> None:
    """One prompt as its file has it."""
    from ..simulators.inspection import prompts as wordings

    prompt = wordings.prompts_show(name, prompts)
    print_json(prompt) if as_json else print(f"{prompt['text'].rstrip()}\n\n(digest {prompt['digest']})")


@app.command("render", epilog=example("recloop prompts render setwise/assess examples/bazaar.yaml"))
def prompts_render(
    name: Annotated[str, typer.Argument(help="Such as setwise/assess.", autocompletion=completion("prompts"))],
    study: Annotated[Path, typer.Argument(help="The study whose data and settings fill it in.")],
    user: Annotated[str | None, typer.Option(help="The data's own user id; else the first that comes to it.")] = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """A prompt with a real user's facts filled in. No model is called."""
    from ..simulators.inspection import prompt_rendering

    rendered = prompt_rendering.prompts_render(name, study, user, settings or [])
    if as_json:
        return print_json(rendered)
    for message in rendered["messages"]:
        print(f"--- {message['role']}\n{message['content']}")
    print(f"--- ({rendered['name']}@{rendered['digest']}, {rendered['task']})")
