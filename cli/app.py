"""The command line: every verb calls the Python function of its name and prints what that gives.

A group of verbs is a file `cli/<group>.py` with a typer app of its own. Verbs without a group stand in `cli/study.py`,
`cli/trial.py` and `cli/side_studies.py` (they take a study file), `cli/refine.py`, `cli/tune.py`, `cli/models.py` (they
train, evaluate and serve recommenders) and `cli/start.py` (init, schema). A new verb is a function there, an entry in
`recloop.VERBS`, and an example in its help; a new group is added below. Verbs import what they need when they run, so
`--help` and listings are fast.

Exit codes: 0 done; 1 a run that is not complete (failed records, a spent budget); 2 something for the caller to mend;
70 a fault of recloop or of a plug-in (RECLOOP_TRACEBACK=1 prints the traceback); 130 interrupted (Ctrl-C);
141 the reader of the output went away (`recloop ... | head`); 143 terminated (SIGTERM).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from .. import __version__
from ..errors import RecloopError
from . import cache as cli_cache
from . import compare as cli_compare
from . import data as cli_data
from . import listing as cli_listing
from . import models as cli_models
from . import prompts as cli_prompts
from . import refine as cli_refine
from . import runs as cli_runs
from . import side_studies as cli_side_studies
from . import start as cli_start
from . import study as cli_study
from . import trial as cli_trial
from . import tune as cli_tune

DONE, MEND, FAULT, INTERRUPTED, BROKEN_PIPE, TERMINATED = 0, 2, 70, 130, 141, 143
TRACEBACK = "RECLOOP_TRACEBACK"
"""An environment variable; with a value, every error is printed with its traceback."""

app = typer.Typer(
    name="recloop",
    help="Closes the loop between LLM agents and recommenders: simulate, refine, retrain, measure.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verbs in (cli_start, cli_study, cli_trial, cli_side_studies, cli_compare, cli_refine, cli_tune, cli_models):
    app.add_typer(verbs.app)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_runs.app, name="runs")
app.add_typer(cli_prompts.app, name="prompts")
app.add_typer(cli_cache.app, name="cache")
app.add_typer(cli_listing.app, name="list")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"recloop {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """The console script: an error is one line, without a traceback."""
    terminated = _interrupt_on_sigterm()
    status = guarded(lambda: app(prog_name="recloop", standalone_mode=False), terminated)
    sys.exit(TERMINATED if status == INTERRUPTED and terminated else status)


def guarded(command: Callable[[], Any], terminated: Sequence[int] = ()) -> int:
    """Run a command; print its error, if any, as one line on stderr. Returns the exit code.

    `terminated`: what `_interrupt_on_sigterm` gave; not empty after a SIGTERM.
    """
    try:
        outcome = command()
        sys.stdout.flush()
        if outcome == INTERRUPTED:  # how typer reports a Ctrl-C
            raise KeyboardInterrupt
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print(f"recloop: {'terminated' if terminated else 'interrupted'}; the same command resumes", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        return _report(error)
    return outcome if isinstance(outcome, int) else DONE


def _report(error: Exception) -> int:
    """Print one line for an error; the traceback as well where the environment asks for it. Returns the exit code."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    match error:
        case RecloopError():
            print(f"recloop: {error}", file=sys.stderr)
            return MEND
        case TyperException():  # a wrong option or argument
            if type(error).__name__ == "NoArgsIsHelpError":  # `recloop data`: typer has printed the group's help
                return DONE
            print(f"recloop: {error} (see `recloop --help`)", file=sys.stderr)
            return MEND
        case OSError(filename=str() | bytes() as name):  # a full disk, a read-only folder, a name that is too long
            print(f"recloop: {os.fsdecode(name)}: {error.strerror}", file=sys.stderr)
            return MEND
    print(
        f"recloop: {type(error).__name__}: {' '.join(str(error).split())} (a fault of recloop or of a plug-in; with "
        f"{TRACEBACK}=1 in the environment the same command prints where)",
        file=sys.stderr,
    )
    return FAULT


def _interrupt_on_sigterm() -> list[int]:
    """Let SIGTERM (Slurm, Kubernetes, `timeout`) end a command as Ctrl-C does: records are written, and it resumes.

    Returns a list that is empty until the signal comes.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    return received
