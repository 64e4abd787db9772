"""The command line: every verb calls the Python function of its name and prints what that gives.

Exit codes: 0 done, 1 a run that is not complete (failed records, a spent budget), 2 something for the caller to mend,
130 interrupted.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from .errors import RecloopError

app = typer.Typer(
    name="recloop",
    help="Closes the loop between LLM agents and recommenders: simulate, refine, retrain, measure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at data, convert it.", no_args_is_help=True)
runs_app = typer.Typer(help="What run folders hold.", no_args_is_help=True)
prompts_app = typer.Typer(help="The wording of every step.", no_args_is_help=True)
cache_app = typer.Typer(help="The replies that are kept, so that no question is paid for twice.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
app.add_typer(prompts_app, name="prompts")
app.add_typer(cache_app, name="cache")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")]
Out = Annotated[Path, typer.Option("--out", help="The folder that holds run folders.")]
Cache = Annotated[Path, typer.Option("--out", help="The folder of run folders, where the cache lies, or its file.")]
Log = Annotated[Literal["debug", "info", "warning", "error"], typer.Option("--log", help="What to log, on stderr.")]
Wordings = Annotated[Path | None, typer.Option("--prompts", help="A folder of your own wordings.")]


def _example(text: str) -> str:
    return f"Example: {text}"


@app.command(epilog=_example("recloop run examples/bazaar.yaml --set train.epochs=3 --set llm.concurrency=16"))
def run(
    study: Annotated[Path, typer.Argument(help="A study file (YAML).")],
    settings: Set = None,
    retry_failed: Annotated[bool, typer.Option(help="Ask failed tasks again.")] = False,
    log: Log = "warning",
    log_json: Annotated[bool, typer.Option(help="Logs and progress as JSON lines.")] = False,
    as_json: Json = False,
) -> None:
    """Answer a study: ask its agents, fold, retrain, compare. The same command resumes what was cut off."""
    from .logs import set_up_logs
    from .simulators import progress
    from .simulators.report import show
    from .simulators.run import REPORT
    from .simulators.run import run as run_study

    set_up_logs(log, as_json=log_json)
    watch = progress.watcher(json_lines=log_json)
    verdict = run_study(study, settings or [], retry_failed=retry_failed, progress=watch)
    if as_json:
        _print_json(verdict.as_json())
    elif verdict.stopped:
        print(f"stopped: {verdict.stopped}\nThe same command resumes; records and replies are kept in {verdict.folder}")
    else:
        show(verdict, Console(width=None if sys.stdout.isatty() else 240))
        print(f"\nRun folder: {verdict.folder} (the whole report: {Path(verdict.folder) / REPORT})")
    if not verdict.complete:
        failed = sum(summary.failed for summary in verdict.asked.values())
        if failed:
            print(f"{failed} task(s) failed; `recloop run {study} --retry-failed` asks them again", file=sys.stderr)
        raise typer.Exit(1)


@app.command(epilog=_example("recloop estimate study.yaml --set llm.model=gpt-4o-mini --set llm.prices=prices.yaml"))
def estimate(
    study: Annotated[Path, typer.Argument(help="A study file (YAML).")],
    settings: Set = None,
    tasks: Annotated[int, typer.Option(help="Tasks of each step to sample; they are asked and paid for.")] = 5,
    dry: Annotated[bool, typer.Option(help="Ask nobody: walk the tasks offline and count tokens by length.")] = False,
    as_json: Json = False,
) -> None:
    """Calls, tokens, dollars and time that a study has still to spend, from a sample, with an interval."""
    from .simulators import estimate as estimating

    told = estimating.estimate(study, settings or [], tasks=tasks, dry=dry)
    _print_json(told) if as_json else _print_estimate(told)


@cache_app.command("stats", epilog=_example("recloop cache stats --out runs"))
def cache_stats(out: Cache = Path("runs"), as_json: Json = False) -> None:
    """How many replies of which models, how old, and what they cost."""
    from .simulators import cache

    facts = cache.cache_stats(out)
    _print_json(facts) if as_json else _print_facts(facts)


@cache_app.command("explain", epilog=_example("recloop cache explain study.yaml user:17"))
def cache_explain(
    study: Annotated[Path, typer.Argument(help="A study file (YAML).")],
    task: Annotated[str | None, typer.Argument(help="Such as user:17; else the step's first task.")] = None,
    step: Annotated[int, typer.Option(help="Which of the study's steps, counted from 0.")] = 0,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Why a task would call the model: what in its first question without a reply differs from the nearest one kept."""
    from .simulators import cache

    told = cache.cache_explain(study, task, settings or [], step=step)
    if as_json:
        return _print_json(told)
    print(f"{told['step']}, {told['task']}: {told['found']} replies found, {told['missing'] or 'none'} missing")
    for line in told["differs"]:
        print(f"  {line}")


@cache_app.command("export", epilog=_example("recloop cache export replay.jsonl --out runs"))
def cache_export(
    file: Annotated[Path, typer.Argument(help="What to write, for `llm: {provider: replay, replay: FILE}`.")],
    out: Cache = Path("runs"),
    model: Annotated[str | None, typer.Option(help="Only what was asked of this one, as a study names it.")] = None,
    as_json: Json = False,
) -> None:
    """Write every question and its reply, so that studies run again offline and identically."""
    from .simulators import cache

    told = cache.cache_export(out, file, model=model)
    _print_json(told) if as_json else print(f"{told['entries']} replies in {told['written']}")


@cache_app.command("import", epilog=_example("recloop cache import replay.jsonl --out runs"))
def cache_import(
    file: Annotated[Path, typer.Argument(help="A replay file.")], out: Cache = Path("runs"), as_json: Json = False
) -> None:
    """Take a replay file's replies into the cache."""
    from .simulators import cache

    told = cache.cache_import(out, file)
    _print_json(told) if as_json else print(f"{told['new']} new replies in {told['path']}")


@cache_app.command("prune", epilog=_example("recloop cache prune --older-than-days 90"))
def cache_prune(
    out: Cache = Path("runs"),
    older_than_days: Annotated[float | None, typer.Option(help="Delete what is older than so many days.")] = None,
    model: Annotated[str | None, typer.Option(help="Delete replies of this model, as `cache stats` names it.")] = None,
    as_json: Json = False,
) -> None:
    """Delete old replies, or those of a model; with both, old ones of that model."""
    from .simulators import cache

    told = cache.cache_prune(out, older_than_days=older_than_days, model=model)
    _print_json(told) if as_json else print(f"{told['deleted']} replies deleted from {told['path']}")


@app.command(epilog=_example("recloop fidelity examples/bazaar.yaml --set fidelity.users=100"))
def fidelity(
    study: Annotated[Path, typer.Argument(help="A study file (YAML); its fidelity section says what is measured.")],
    settings: Set = None,
    plots: Annotated[bool, typer.Option(help="Draw a picture a protocol.")] = True,
    as_json: Json = False,
) -> None:
    """Is the simulated user believable? Measure it beside rows without a model. The same command resumes."""
    from .simulators import progress
    from .simulators.fidelity import report as reports
    from .simulators.fidelity.suite import fidelity as measure

    report = measure(study, settings or [], plots=plots, progress=progress.watcher())
    if as_json:
        _print_json(report.as_json())
    else:
        reports.show(report, Console(width=None if sys.stdout.isatty() else 240))
        print(f"\nPer-user values, pictures and {reports.SUMMARY}: {report.folder}")
    if report.stopped:
        print(f"stopped: {report.stopped}\nThe same command resumes", file=sys.stderr)
        raise typer.Exit(1)


@data_app.command("info", epilog=_example("recloop data info movielens ml-latest-small.zip --set min_rating=4"))
def data_info(
    source: Annotated[str, typer.Argument(help="movielens, amazon, atomic, table, written, bazaar; or a study file.")],
    path: Annotated[Path | None, typer.Argument(help="The folder, zip or file to read.")] = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Sizes, density, time, ratings, texts, skew and fingerprint of a dataset."""
    from .simulators import datasets

    facts = datasets.data_info(source, path, settings or [])
    _print_json(facts) if as_json else _print_facts(facts)


@data_app.command("convert", epilog=_example("recloop data convert movielens ml-1m.zip ml-1m-parquet --set core=5"))
def data_convert(
    source: Annotated[str, typer.Argument(help="movielens, amazon, atomic, table, written, bazaar; or a study file.")],
    paths: Annotated[list[Path], typer.Argument(help="What to read (not for bazaar or a study), and what to write.")],
    settings: Set = None,
    layout: Annotated[Literal["parquet", "csv", "atomic"] | None, typer.Option(help="Of a folder.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what recloop wrote there before.")] = False,
    as_json: Json = False,
) -> None:
    """Read, filter and write a dataset: a folder of tables, or one file (.csv .tsv .parquet .inter)."""
    from .simulators import datasets

    if len(paths) > 2:
        raise typer.BadParameter("give what to read and what to write, no more")
    source_path = paths[0] if len(paths) == 2 else None
    written = datasets.data_convert(source, source_path, paths[-1], settings or [], layout=layout, overwrite=overwrite)
    _print_json({"written": str(written)}) if as_json else print(written)


@runs_app.command("list", epilog=_example("recloop runs list --out runs"))
def runs_list(out: Out = Path("runs"), as_json: Json = False) -> None:
    """Every run below a folder, with its steps and their counts."""
    from .simulators import runs

    found = runs.runs_list(out)
    if as_json:
        return _print_json(found)
    table = Table("run", "step", "tasks", "ok", "invalid", "failed", "calls", "table")
    for entry in found:
        for step, counts in entry["steps"].items() or [("", {})]:
            figures = [str(counts.get(key, "")) for key in ("tasks", "ok", "invalid", "failed", "calls")]
            table.add_row(entry["name"], step, *figures, "yes" if entry["table"] else "no")
    Console().print(table if found else f"no run in {out}")


@runs_app.command("show", epilog=_example("recloop runs show bazaar"))
def runs_show(
    name: Annotated[str, typer.Argument(help="The run's name, as `runs list` has it.")],
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """One run: its report, or, before there is one, its study and counts."""
    from .simulators import runs

    shown = runs.runs_show(name, out)
    if as_json:
        return _print_json(shown)
    print(shown["report"] or f"{shown['study']}\n{json.dumps(shown['steps'], indent=2)}\nno table yet: run it again")


@runs_app.command("trace", epilog=_example("recloop runs trace bazaar 17"))
def runs_trace(
    name: Annotated[str, typer.Argument(help="The run's name, as `runs list` has it.")],
    user: Annotated[str, typer.Argument(help="The data's own user id.")],
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """One user's loop, round by round: sets, rankings, reasons, mismatch, what was rewritten, kept or rolled back."""
    from .simulators import trace

    shown = trace.runs_trace(name, user, out)
    _print_json(shown) if as_json else print(shown["text"])


@prompts_app.command("list", epilog=_example("recloop prompts list"))
def prompts_list(prompts: Wordings = None, as_json: Json = False) -> None:
    """Every prompt with its version and what it is for."""
    from .simulators import wordings

    found = wordings.prompts_list(prompts)
    if as_json:
        return _print_json(found)
    table = Table("prompt", "digest", "notes")
    for entry in found:
        table.add_row(entry["name"], entry["digest"], entry["notes"].lstrip("# "))
    Console().print(table)


@prompts_app.command("show", epilog=_example("recloop prompts show setwise/assess"))
def prompts_show(
    name: Annotated[str, typer.Argument(help="Such as setwise/assess.")],
    prompts: Wordings = None,
    as_json: Json = False,
) -> None:
    """One prompt as its file has it."""
    from .simulators import wordings

    shown = wordings.prompts_show(name, prompts)
    _print_json(shown) if as_json else print(f"{shown['text'].rstrip()}\n\n(digest {shown['digest']})")


@prompts_app.command("render", epilog=_example("recloop prompts render setwise/assess examples/bazaar.yaml"))
def prompts_render(
    name: Annotated[str, typer.Argument(help="Such as setwise/assess.")],
    study: Annotated[Path, typer.Argument(help="The study whose data and settings fill it in.")],
    user: Annotated[str | None, typer.Option(help="The data's own user id; else the first that comes to it.")] = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """A prompt with a real user's facts filled in. No model is called."""
    from .simulators import wordings

    shown = wordings.prompts_render(name, study, user, settings or [])
    if as_json:
        return _print_json(shown)
    for message in shown["messages"]:
        print(f"--- {message['role']}\n{message['content']}")
    print(f"--- ({shown['name']}@{shown['digest']}, {shown['task']})")


def main() -> None:
    """The console script: an error of ours is one line, never a traceback."""
    sys.exit(_guarded(lambda: app(standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    try:
        outcome = command()
    except RecloopError as error:
        print(f"recloop: {error}", file=sys.stderr)
        return 2
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("recloop: interrupted; the same command resumes", file=sys.stderr)
        return 130
    except TyperException as error:  # a wrong option or argument
        print(f"recloop: {error} (see `recloop --help`)", file=sys.stderr)
        return 2
    return outcome if isinstance(outcome, int) else 0


def _print_json(value: Any) -> None:
    print(json.dumps(_defined(value), indent=2, ensure_ascii=False, default=str, allow_nan=False))


def _defined(value: Any) -> Any:
    """Undefined figures as null: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _defined(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_estimate(told: dict[str, Any]) -> None:
    table = Table("step", "tasks left", "calls", "prompt tokens", "completion tokens", "USD", "hours")
    for step in told["steps"]:
        table.add_row(step["step"], str(step["tasks"] - step["finished"]), *_estimated(step["left"]))
    table.add_row("in all", "", *_estimated(told["total"]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    counted = "counted by length, nothing was asked" if told["dry"] else "asked, counted and kept"
    sampled = sum(step["sampled"] for step in told["steps"])
    print(f"From {sampled} sampled task(s), {counted}; in brackets, 95 % intervals. Model: {told['model']}.")


def _estimated(figures: dict[str, dict[str, float] | None]) -> list[str]:
    cells = []
    for name in ("calls", "prompt_tokens", "completion_tokens", "usd", "seconds"):
        figure, by, decimals = figures[name], 3600 if name == "seconds" else 1, 2 if name in ("usd", "seconds") else 0
        mean, low, high = (f"{value / by:,.{decimals}f}" for value in (figure or dict.fromkeys("abc", 0.0)).values())
        cells.append("-" if figure is None else f"{mean} [{low}, {high}]")
    return cells


def _print_facts(facts: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(
            name, json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)
        )
    Console().print(table)
