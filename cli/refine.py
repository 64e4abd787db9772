"""`recloop refine`: a log in, a refined log of the same form out; `diff` says what changed, `undo` takes it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Log, Set, example
from .output import print_json

app = typer.Typer()

Names = Annotated[
    str | None, typer.Option(metavar="STEP,STEP", help="generate, discriminate, denoise; else those of --config.")
]
Written = Annotated[Path, typer.Argument(metavar="REFINED", help="What `recloop refine` wrote; REFINED.run beside it.")]


@app.command(epilog=example("recloop refine --steps generate,discriminate log.csv refined.csv --config refine.yaml"))
def refine(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A log: CSV, TSV, Parquet, .inter or JSON lines.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The refined log, of the same form; OUT.run beside it.")],
    steps: Names = None,
    config: Annotated[Path | None, typer.Option(help="A file of settings (YAML): data, llm, steps.")] = None,
    settings: Set = None,
    retry_failed: Annotated[bool, typer.Option(help="Ask failed tasks again.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an OUT, or an OUT.run, that this refinement did not write.")
    ] = False,
    log: Log = "warning",
    as_json: Json = False,
) -> None:
    """Add interactions that the long tail lacks, judge real and new ones, clean sequences, write the log. Resumes."""
    from ..logs import set_up_logs
    from ..simulators.batch import progress
    from ..simulators.refining import refine as refining
    from ..simulators.studies.report import NO_LLM, facts_of

    set_up_logs(log)
    chosen = [name.strip() for name in steps.split(",") if name.strip()] if steps is not None else None
    done = refining.refine(
        source,
        out,
        config,
        steps=chosen,
        settings=settings or [],
        retry_failed=retry_failed,
        overwrite=overwrite,
        progress=progress.watcher(),
    )
    if as_json:
        print_json(done.as_json())
    elif done.stopped:
        print(
            f"stopped: {done.stopped}\nNo log was written. The same command resumes; records and replies are kept in "
            f"{done.folder}",
            file=sys.stderr,
        )
    else:
        for step, report in done.reports.items():
            print("\n".join([step, *facts_of(report)]))
        print(", ".join(f"{count} {kind}" for kind, count in done.rows.items()))
        print(f"{done.out} (records, and what changed: {done.folder})")
        if done.llm.startswith("offline"):
            print(f"\n{NO_LLM}")
    for warning in done.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    if not done.complete:
        failed = sum(summary.failed for summary in done.summaries.values())
        if failed:
            print(f"{failed} task(s) failed; the same command with --retry-failed asks them again", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog=example("recloop diff log.csv refined.csv"))
def diff(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="The log that was refined.")],
    refined: Written,
    user: Annotated[str | None, typer.Option(help="This user alone.")] = None,
    as_json: Json = False,
) -> None:
    """What a refined log has otherwise: what was done to which row, why, and how sure, by user."""
    from ..simulators.refining import diff as differing

    result = differing.diff(raw, refined)
    if as_json:
        values = result.as_json()
        print_json(values if user is None else values | {"users": {user: values["users"].get(user, [])}})
        return
    for name, edits in result.users.items():
        if user is not None and name != user:
            continue
        print(f"user {name}")
        for edit in edits:
            what = f"{edit.was} replaced by {edit.item}" if edit.was is not None else f"{edit.what} {edit.item}"
            weight = f", weight {edit.weight:g}" if edit.what == "reweighted" else ""
            sure = "no confidence stated" if edit.sure is None else f"sure {edit.sure:.2f}"
            print(f"  {what}{weight} ({sure}, {edit.agent}){': ' + edit.why if edit.why else ''}")
    print(", ".join(f"{count} {kind}" for kind, count in result.counts.items()) or "nothing changed")


@app.command(epilog=example("recloop undo refined.csv --to log-again.csv"))
def undo(
    refined: Written,
    to: Annotated[Path | None, typer.Option(help="Where the log is restored; else in the place of REFINED.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite a file that was changed since, or that exists.")] = False,
    as_json: Json = False,
) -> None:
    """Restore the log that was refined, byte for byte, from the run folder alone."""
    from ..simulators.refining import undo as undoing

    done = undoing.undo(refined, to, force=force)
    if as_json:
        print_json({"path": done.path, "sha256": done.sha256})
    else:
        print(f"{done.path} is the log as it was (SHA-256 {done.sha256})")
