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
from .judging import Judged, judged
from .report import Tuned, written
from .storage import TOLD, alone, finished, following, import_optuna, opened
from .suggestion import start, suggested

if TYPE_CHECKING:
    from optuna import Study

Say = Callable[[str], None]


def tune(
    tuning: Tuning | Path | str,
    settings: Sequence[str] = (),
    *,
    best: Path | str | None = None,
    progress: Say | None = None,
) -> Tuned:
    """Search the hyperparameters of every model in `train.models`; resumes what is there.

    tuning: a Tuning or the path of its YAML file, on which `settings` (`tune.trials=10`) are made first. Everything
    lands in `tuning.folder`: `trials.db` (Optuna's storage), `trials.parquet` and `trials.csv` (a row a trial), and
    `best.yaml`, a study file with the best hyperparameters; `best` names a second place for it. The same search with a
    larger budget goes on from the trials there are.

    The test side is cut off before anything is fitted. Raises ConfigError and DataError for what the caller has to
    mend, RunError for a folder of another search.
    """
    if not isinstance(tuning, Tuning):
        tuning = read_tuning(tuning, settings)
    elif settings:
        raise RunError("settings change a search file's values; give the path, or make a changed Tuning")
    import_optuna()  # its absence is said before the data is read
    tuning.train.check()
    sides = load_split(tuning.data)
    tuning.train.check(sides.train)
    return tune_on(tuning, sides.train, sides.valid, best=Path(best) if best else None, say=progress or _silent)


def tune_on(tuning: Tuning, train: Dataset, valid: Dataset, *, best: Path | None = None, say: Say) -> Tuned:
    """`tune` on sides that are loaded already; there is no test side among them."""
    with alone(tuning.folder):
        searches: dict[str, Study] = {}
        for name, fixed in tuning.models:
            identity = _identity(tuning, name, fixed, train, valid)
            searches[name] = opened(tuning.folder, name, tuning.tune.direction, identity)
        told = written(tuning, searches, train, valid, best)
        for name, fixed in tuning.models:
            known = {**model_class(name).Config().model_dump(), **fixed}
            if not searches[name].get_trials(deepcopy=False):
                searches[name].enqueue_trial(start(tuning.space(name), known))
            while not _spent(tuning, name, searches[name]):
                said = _one_trial(tuning, name, fixed, known, searches[name], train, valid)
                told = written(tuning, searches, train, valid, best)
                say(f"{name} {said}; {told.standing(name)}")
        return told


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
        found = _again(search, settings) or judged(name, settings, train, valid, tuning.train, tuning.tune)
        if found.value != found.value:
            raise RunError(f"{tuning.tune.metric} is undefined on this validation side; take another metric or split")
    except RecloopError as error:
        told = {"settings": settings, "error": str(error), "seconds": time.monotonic() - began}
        trial.set_user_attr(TOLD, told)
        search.tell(trial, state=failed)
        if not any(kept.state.name == "COMPLETE" for kept in finished(search)) and trial.number >= 2:
            raise  # the first three failed: it is not the hyperparameters
        return f"{of} failed: {error}"
    trial.set_user_attr(TOLD, {"settings": settings, **asdict(found)})
    search.tell(trial, found.value)
    return f"{of} {found.value:.4f}, {found.seconds:.1f} s"


def _again(search: Study, settings: dict[str, Any]) -> Judged | None:
    """The outcome of an earlier trial with the same hyperparameters: a training is decided by them and its seed."""
    for kept in finished(search):
        told = kept.user_attrs[TOLD]
        if kept.state.name == "COMPLETE" and told["settings"] == settings:
            return Judged(tuple(told["figures"]), tuple(told["epochs"]), 0.0)
    return None


def _spent(tuning: Tuning, name: str, search: Study) -> bool:
    done, budget = finished(search), tuning.tune
    seconds = sum(trial.user_attrs[TOLD]["seconds"] for trial in done)
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
