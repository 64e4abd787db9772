"""`tune`: hyperparameters searched on the validation side, within a budget, every trial kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import RecloopError, RunError
from ..data.dataset import Dataset
from ..data.sources import load_split
from ..models.table import model_class
from .config import Tuning, read_tuning
from .report import SearchResult, check_best, written
from .storage import TRIAL_FACTS, alone, finished, following, import_optuna, opened
from .suggestion import start, suggested
from .trial import TrialResult, run_trial

if TYPE_CHECKING:
    from optuna import Study

Say = Callable[[str], None]


def tune(
    tuning: Tuning | Path | str,
    settings: Sequence[str] = (),
    *,
    best: Path | str | None = None,
    overwrite: bool = False,
    progress: Say | None = None,
) -> SearchResult:
    """Search the hyperparameters of every model in `train.models`; resumes what is there.

    tuning: a Tuning or the path of its YAML file, on which `settings` (`tune.trials=10`) are made first. Everything
    lands in `tuning.folder`: `trials.db` (Optuna's storage), `trials.parquet` and `trials.csv` (a row a trial), and
    `best.yaml`, a study file with the best hyperparameters; `best` names a second place for it, where only a
    file of this search is replaced, or with `overwrite` any. The same search with a
    larger budget resumes from its trials.

    The test side is cut off before anything is fitted. Raises ConfigError and DataError for what the caller has to
    mend, RunError for a folder of another search.
    """
    if not isinstance(tuning, Tuning):
        tuning = read_tuning(tuning, settings)
    elif settings:
        raise RunError("settings change a search file's values; give the path, or make a changed Tuning")
    if best is not None:
        check_best(Path(best), tuning.folder, overwrite=overwrite)
    import_optuna()  # its absence is said before the data is read
    tuning.train.check()
    sides = load_split(tuning.data)
    tuning.train.check(sides.train)
    return tune_on(tuning, sides.train, sides.valid, best=Path(best) if best else None, say=progress or _silent)


def tune_on(tuning: Tuning, train: Dataset, valid: Dataset, *, best: Path | None = None, say: Say) -> SearchResult:
    """`tune` on sides that are loaded already; there is no test side among them."""
    with alone(tuning.folder):
        searches: dict[str, Study] = {}
        for name, fixed in tuning.models:
            identity = _identity(tuning, name, fixed, train, valid)
            searches[name] = opened(tuning.folder, name, tuning.tune.direction, identity)
        result = written(tuning, searches, train, valid, best)
        for name, fixed in tuning.models:
            known = {**model_class(name).Config().model_dump(), **fixed}
            if not searches[name].get_trials(deepcopy=False):
                searches[name].enqueue_trial(start(tuning.space(name), known))
            while not _spent(tuning, name, searches[name]):
                line = _one_trial(tuning, name, fixed, known, searches[name], train, valid)
                result = written(tuning, searches, train, valid, best)
                say(f"{name} {line}; {result.standing(name)}")
        return result


def _one_trial(
    tuning: Tuning,
    name: str,
    fixed: dict[str, Any],
    known: dict[str, Any],
    search: Study,
    train: Dataset,
    valid: Dataset,
) -> str:
    """Makes one trial and keeps it; what cannot be trained is a failed trial. Gives a line about it."""
    failed = import_optuna().trial.TrialState.FAIL
    trial = following(search, tuning.tune.seed)
    # As JSON has it, since that is how it is kept and compared: a tuple of widths is a list there.
    settings = json.loads(json.dumps({**fixed, **suggested(trial, tuning.space(name), known)}))
    began = time.monotonic()
    done = f"{trial.number + 1}/{tuning.tune.trials}" if tuning.tune.trials else f"{trial.number + 1}"
    of = f"trial {trial.number} ({done}): {tuning.tune.metric}"
    try:
        outcome = _again(search, settings) or run_trial(name, settings, train, valid, tuning.train, tuning.tune)
        if outcome.value != outcome.value:
            raise RunError(f"{tuning.tune.metric} is undefined on this validation side; take another metric or split")
    except RecloopError as error:
        result = {"settings": settings, "error": str(error), "seconds": time.monotonic() - began}
        trial.set_user_attr(TRIAL_FACTS, result)
        search.tell(trial, state=failed)
        if not any(earlier.state.name == "COMPLETE" for earlier in finished(search)) and trial.number >= 2:
            raise  # the first three failed: it is not the hyperparameters
        return f"{of} failed: {error}"
    trial.set_user_attr(TRIAL_FACTS, {"settings": settings, **asdict(outcome)})
    search.tell(trial, outcome.value)
    return f"{of} {outcome.value:.4f}, {outcome.seconds:.1f} s"


def _again(search: Study, settings: dict[str, Any]) -> TrialResult | None:
    """The outcome of an earlier trial with the same hyperparameters: a training is decided by them and its seed."""
    for earlier in finished(search):
        result = earlier.user_attrs[TRIAL_FACTS]
        if earlier.state.name == "COMPLETE" and result["settings"] == settings:
            return TrialResult(tuple(result["figures"]), tuple(result["epochs"]), 0.0)
    return None


def _spent(tuning: Tuning, name: str, search: Study) -> bool:
    done, budget = finished(search), tuning.tune
    seconds = sum(trial.user_attrs[TRIAL_FACTS]["seconds"] for trial in done)
    return (budget.trials is not None and len(done) >= budget.trials) or seconds >= budget.seconds(name)


def _identity(tuning: Tuning, name: str, fixed: dict[str, Any], train: Dataset, valid: Dataset) -> dict[str, Any]:
    """What must be the same for trials to be of one search: all but the budget."""
    dumped = tuning.model_dump(mode="json")
    return {
        "hyperparameters": fixed,
        "space": {field: str(where) for field, where in tuning.space(name).items()},
        "metric": tuning.tune.metric,
        "users": tuning.tune.users,
        "epochs": tuning.tune.epochs.get(name),
        "seed": tuning.tune.seed,
        "train": {key: dumped["train"][key] for key in ("seeds", "epochs", "device", "threads")},
        "train side": train.fingerprint,
        "validation side": valid.fingerprint,
        "version": version("recloop"),
    }


def _silent(line: str) -> None:
    pass
