"""`recloop refine`: a log in, a refined log of the same form out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Json, Log, Set, example
from .cli_output import print_json

app = typer.Typer()

Names = Annotated[str | None, typer.Option(metavar="STEP,STEP", help="generate, discriminate; else those of --config.")]


@app.command(epilog=example("recloop refine --steps generate,discriminate log.csv refined.csv --config refine.yaml"))
def refine(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A log: CSV, TSV, Parquet, .inter or JSON lines.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The refined log, of the same form; OUT.run beside it.")],
    steps: Names = None,
    config: Annotated[Path | None, typer.Option(help="A file of settings (YAML): data, llm, steps.")] = None,
    settings: Set = None,
    retry_failed: Annotated[bool, typer.Option(help="Ask failed tasks again.")] = False,
    log: Log = "warning",
    as_json: Json = False,
) -> None:
    """Add interactions that the long tail lacks, judge real and new ones, write the log again. Resumes."""
    from .logs import set_up_logs
    from .simulators import progress
    from .simulators import refine as refining
    from .simulators.report import NO_LLM, facts_of

    set_up_logs(log)
    chosen = [name.strip() for name in steps.split(",") if name.strip()] if steps is not None else None
    done = refining.refine(
        source,
        out,
        config,
        steps=chosen,
        settings=settings or [],
        retry_failed=retry_failed,
        progress=progress.watcher(),
    )
    if as_json:
        print_json(done.as_json())
    elif done.stopped:
        print(f"stopped: {done.stopped}\nThe same command resumes; records and replies are kept in {done.folder}")
    else:
        for step, told in done.said.items():
            print("\n".join([step, *facts_of(told)]))
        print(", ".join(f"{count} {kind}" for kind, count in done.rows.items()))
        print(f"{done.out} (records, and what changed: {done.folder})")
        if done.llm.startswith("offline"):
            print(f"\n{NO_LLM}")
    if not done.complete:
        failed = sum(summary.failed for summary in done.asked.values())
        if failed:
            print(f"{failed} task(s) failed; the same command with --retry-failed asks them again", file=sys.stderr)
        raise typer.Exit(1)
