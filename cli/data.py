"""`recloop data`: look at data, convert it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import Json, Set, example
from .output import print_facts, print_json

app = typer.Typer(help="Look at data, convert it.", no_args_is_help=True)


@app.command("info", epilog=example("recloop data info movielens ml-latest-small.zip --set min_rating=4"))
def data_info(
    source: Annotated[str, typer.Argument(help="movielens, amazon, atomic, table, written, bazaar; or a study file.")],
    path: Annotated[Path | None, typer.Argument(help="The folder, zip or file to read.")] = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Sizes, density, time, ratings, texts, skew and fingerprint of a dataset."""
    from ..simulators.inspection import datasets

    facts = datasets.data_info(source, path, settings or [])
    print_json(facts) if as_json else print_facts(facts)


@app.command("convert", epilog=example("recloop data convert movielens ml-1m.zip ml-1m-parquet --set core=5"))
def data_convert(
    source: Annotated[str, typer.Argument(help="movielens, amazon, atomic, table, written, bazaar; or a study file.")],
    paths: Annotated[list[Path], typer.Argument(help="What to read (not for bazaar or a study), and what to write.")],
    settings: Set = None,
    layout: Annotated[Literal["parquet", "csv", "atomic"] | None, typer.Option(help="Of a folder.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what recloop wrote there before.")] = False,
    as_json: Json = False,
) -> None:
    """Read, filter and write a dataset: a folder of tables, or one file (.csv .tsv .parquet .inter)."""
    from ..simulators.inspection import datasets

    if len(paths) > 2:
        raise typer.BadParameter("give what to read and what to write, no more")
    source_path = paths[0] if len(paths) == 2 else None
    written = datasets.data_convert(source, source_path, paths[-1], settings or [], layout=layout, overwrite=overwrite)
    print_json({"written": str(written)}) if as_json else print(written)
