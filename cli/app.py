"""The command line: every verb calls the Python function of its name and prints what that gives.

A group of verbs is a file `cli/<group>.py` with a typer app of its own; verbs without a group stand in `cli/study.py`
(they ask agents), `cli/tune.py` and `cli/models.py` (they make, judge and serve recommenders). A new verb is a function
there, an entry in `recloop.VERBS`, and an example in its help; a new group is added below.

Exit codes: 0 done, 1 a run that is not complete (failed records, a spent budget), 2 something for the caller to mend,
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.exceptions import TyperException

from ..errors import RecloopError
from . import cache as cli_cache
from . import data as cli_data
from . import models as cli_models
from . import prompts as cli_prompts
from . import refine as cli_refine
from . import runs as cli_runs
from . import study as cli_study
from . import tune as cli_tune

app = typer.Typer(
    name="recloop",
    help="Closes the loop between LLM agents and recommenders: simulate, refine, retrain, measure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(cli_study.app)
app.add_typer(cli_refine.app)
app.add_typer(cli_tune.app)
app.add_typer(cli_models.app)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_runs.app, name="runs")
app.add_typer(cli_prompts.app, name="prompts")
app.add_typer(cli_cache.app, name="cache")

INTERRUPTED = 130


def main() -> None:
    """The console script: an error of ours is one line, never a traceback."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(command: Callable[[], Any]) -> int:
    try:
        outcome = command()
        if outcome == INTERRUPTED:  # how typer tells of a Ctrl-C
            raise KeyboardInterrupt
    except RecloopError as error:
        print(f"recloop: {error}", file=sys.stderr)
        return 2
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("recloop: interrupted; the same command resumes", file=sys.stderr)
        return INTERRUPTED
    except TyperException as error:  # a wrong option or argument
        print(f"recloop: {error} (see `recloop --help`)", file=sys.stderr)
        return 2
    return outcome if isinstance(outcome, int) else 0
