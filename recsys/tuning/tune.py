"""`tune`: hyperparameter search on the validation side within a budget; every trial is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, RecloopError, RunError
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
    tuning: Tuning | Path | str | Mapping[str, Any],
    settings: Sequence[str] = (),
    *,
    best: Path | str | None = None,
    overwrite: bool = False,
    progress: Say | None = None,
) -> SearchResult:
    """Searches the hyperparameters of every model in `train.models`; an existing search is resumed.

    tuning: a Tuning, its keys and values as a dict, or the path of its YAML file; on the last two, `settings`
    (`tune.trials=10`) are applied. Output goes to
    `tuning.folder`: `trials.db` (Optuna's storage), `trials.parquet` and `trials.csv` (a row per trial), and
    `best.yaml`, a study file with the best hyperparameters. best: a second path for the latter; an existing file is
    replaced only if it is of this search or with `overwrite`. A search with a larger budget continues its trials.

    The test side is dropped before anything is fitted. Raises ConfigError and DataError for wrong input, RunError for
    the folder of another search.
    """
    if not isinstance(tuning, Tuning):
        tuning = read_tuning(tuning, settings)
    elif settings:
        raise ConfigError("settings change a search file's values; give the path or a dict, or make a changed Tuning")
    if best is not None:
        check_best(Path(best), tuning.folder, overwrite=overwrite)
    import_optuna()  # fails before the data is read
    tuning.train.check()
    sides = load_split(tuning.data)
    tuning.train.check(sides.train)
    return tune_on(tuning, sides.train, sides.valid, best=Path(best) if best else None, say=progress or _silent)


def tune_on(tuning: Tuning, train: Dataset, valid: Dataset, *, best: Path | None = None, say: Say) -> SearchResult:
    """`tune` on loaded train and validation sides."""
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
    """Runs and stores one trial; an error of the training makes it a failed one. Returns a line about it."""
    failed = import_optuna().trial.TrialState.FAIL
    trial = following(search, tuning.tune.seed)
    # Stored and compared as JSON, where tuples are lists.
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
            raise  # the first three failed: the hyperparameters are not the cause
        return f"{of} failed: {error}"
    trial.set_user_attr(TRIAL_FACTS, {"settings": settings, **asdict(outcome)})
    search.tell(trial, outcome.value)
    return f"{of} {outcome.value:.4f}, {outcome.seconds:.1f} s"


def _again(search: Study, settings: dict[str, Any]) -> TrialResult | None:
    """The result of an earlier trial with the same hyperparameters, if any: trainings are deterministic."""
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
    """Everything that must be equal for trials to be of one search: all but the budget."""
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
