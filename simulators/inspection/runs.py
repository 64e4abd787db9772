"""`runs list` and `runs show`: what run folders hold, read from their own files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import RunError
from ..batch.manifest import read_manifest
from ..batch.records import read_records, totals
from ..batch.summary import SUMMARY, Summary
from ..batch.usage import usage
from ..studies.run_folder import FIDELITY_PAGE, REPORT, STUDY, TABLE


def runs_list(out: Path | str = "runs") -> list[dict[str, Any]]:
    """One entry a run folder below `out`, by name: its steps with their counts, and whether a table is there.

    A run with damaged files has `error`, which names the file, and the counts of the steps that can be read.
    """
    return [_entry(folder) for folder in sorted(Path(out).glob("*/")) if (folder / STUDY).is_file()]


def runs_show(name: str, out: Path | str = "runs") -> dict[str, Any]:
    """One run: its study, manifests, summaries, report, and `usage`, what was paid by agent, failed attempts included.
    A set-wise step also has `claims`: how many were written, dropped without evidence, forgotten, and so on.

    Raises RunError where there is no such run.
    """
    folder = Path(out) / name
    if not (folder / STUDY).is_file():
        known = ", ".join(entry["name"] for entry in runs_list(out)) or "none"
        raise RunError(f"no run {name!r} in {out}; there are: {known}")
    from ...agents.setwise.state import counts_of  # imports agents, which a listing does not need

    report, page = folder / REPORT, folder / FIDELITY_PAGE
    entry = _entry(folder)
    for step in _steps(folder):
        claims = counts_of(read_records(step))
        entry["steps"][step.name] |= {"claims": claims} if claims else {}
    return {
        **entry,
        "study": (folder / STUDY).read_text(encoding="utf-8"),
        "usage": {agent: asdict(spent) for agent, spent in usage(folder).items()},
        "manifests": {step.name: read_manifest(step) for step in _steps(folder)},
        "report": report.read_text(encoding="utf-8") if report.is_file() else None,
        "fidelity_report": page.read_text(encoding="utf-8") if page.is_file() else None,
    }


def _entry(folder: Path) -> dict[str, Any]:
    steps, errors = {}, []
    for step in sorted((folder / "agents").glob("*/")):
        try:
            if read_manifest(step) is not None:
                steps[step.name] = _counts(step)
        except RunError as error:
            errors.append(str(error))
    return {
        "name": folder.name,
        "folder": str(folder),
        "steps": steps,
        "table": (folder / TABLE).is_file(),
        "fidelity": (folder / FIDELITY_PAGE).is_file(),
        "error": "; ".join(errors),
    }


def _steps(folder: Path) -> list[Path]:
    return sorted(step for step in (folder / "agents").glob("*/") if read_manifest(step) is not None)


def _counts(step: Path) -> dict[str, Any]:
    """Of the summary; where there is none yet (a run that was killed) or it is damaged, of the records."""
    try:
        summary = Summary.read(step / SUMMARY)
    except (OSError, ValueError, KeyError, TypeError):
        sums = totals(step)
        return {"tasks": sums.tasks, "ok": sums.ok, "invalid": sums.invalid, "failed": sums.failed, "ended": False}
    return {
        "tasks": summary.tasks,
        "ok": summary.ok,
        "invalid": summary.invalid,
        "failed": summary.failed,
        "calls": summary.calls,
        "tokens": summary.prompt_tokens + summary.completion_tokens,
        "cost": summary.cost,
        "rates": summary.as_json()["rates"],
        "ended": not summary.stopped,
        "unusable": summary.unusable,
        "stopped": summary.stopped,
    }
