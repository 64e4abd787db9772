"""Arguments and options that several verbs have, spelled one way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Study = Annotated[Path, typer.Argument(help="A study file (YAML).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")]
Out = Annotated[Path, typer.Option("--out", help="The folder that holds run folders.")]
Log = Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log", help="What to log, on stderr.")]


def example(text: str) -> str:
    """What stands at the end of a verb's help."""
    return f"Example: {text}"
