"""Storage of trials in Optuna's SQLite database, so that a killed search can resume."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, RunError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

TRIALS = "trials.db"
IDENTITY = "identity"
TRIAL_FACTS = "told"
"""Attribute of a trial with its settings, and its figures, epochs and seconds, or its error."""
FIRST_DRAWN = 8
"""Random trials before TPE starts; Optuna's default, 10, would be most of a small budget."""


def import_optuna() -> Any:
    """The module optuna, with logging off. Raises ConfigError, naming the extra, if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"tuning needs Optuna ({error}); install it with: pip install 'recloop[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Locks the folder during the block; RunError if another process has the lock. A dead process's lock is free."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "tune.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RunError(f"{folder} is being searched by another process; wait for it, or choose another name") from None
    finally:
        os.close(descriptor)


def opened(folder: Path, model: str, direction: str, identity: Mapping[str, Any]) -> Study:
    """The trials of one model. RunError, naming the difference, if the folder holds those of another search."""
    optuna = import_optuna()
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / TRIALS}")
    search: Study = optuna.create_study(storage=storage, study_name=model, direction=direction, load_if_exists=True)
    before = search.user_attrs.get(IDENTITY)
    if before is None:
        search.set_user_attr(IDENTITY, dict(identity))
    elif before != identity:
        differs = [key for key in identity if before.get(key) != identity[key]]
        raise RunError(
            f"{folder}: holds trials of {model} made with another {' and '.join(differs)}; "
            "choose another name, or delete the folder"
        )
    return search


def following(search: Study, seed: int) -> Trial:
    """The next trial, or the one that was running when its process died.

    Every trial has its own sampler, seeded by the search's seed and the trial's number: its suggestions depend only on
    the trials before it, so that a killed and resumed search makes the same trials.
    """
    optuna = import_optuna()
    cut_off = search.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    number = cut_off[0].number if cut_off else len(finished(search))
    search.sampler = _sampler(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
    return optuna.trial.Trial(search, cut_off[0]._trial_id) if cut_off else search.ask()


def finished(search: Study) -> list[FrozenTrial]:
    """The finished trials, failed ones included, in order of number."""
    return [trial for trial in search.get_trials(deepcopy=False) if trial.state.is_finished()]


def _sampler(seed: int) -> BaseSampler:
    optuna = import_optuna()
    with warnings.catch_warnings():
        # `multivariate` and `group` are experimental; `group` allows fields that depend on others.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        values: BaseSampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=FIRST_DRAWN, multivariate=True, group=True
        )
        return values
