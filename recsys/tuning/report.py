"""Output of a search: a table of its trials, and the best hyperparameters as a study file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from ...atomic import check_output, write_text, write_whole
from ..data.data_config import PATHS
from ..data.dataset import Dataset
from .config import Tuning
from .storage import TRIAL_FACTS
from .trial import ranked_users, trial_settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

TABLE, BEST = "trials", "best.yaml"
COLUMNS = ("model", "trial", "state", "value", "figures", "epochs", "seconds", "hyperparameters", "error")
"""`value` is the mean of the `figures` of the seeds; `hyperparameters` (JSON) are the fixed and the searched ones."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Result of a search. table: `COLUMNS`, a row per trial. best: model -> its best trial (see `_best`)."""

    folder: str
    metric: str
    side: str
    table: pd.DataFrame
    best: Mapping[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return {"folder": self.folder, "metric": self.metric, "side": self.side, "best": dict(self.best)}

    def standing(self, name: str) -> str:
        """One line about the best trial of a model so far."""
        best = self.best.get(name)
        return f"best {best['value']:.4f} (trial {best['trial']})" if best else "no trial has succeeded yet"


def written(
    tuning: Tuning, searches: Mapping[str, Study], train: Dataset, valid: Dataset, best: Path | None = None
) -> SearchResult:
    """Writes the table of the trials so far, and `best.yaml` if any model has a successful trial."""
    rows = [row for name, search in searches.items() for row in trials_of(name, search)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_whole(tuning.folder / f"{TABLE}.parquet", lambda file: table.to_parquet(file, index=False))
    write_whole(tuning.folder / f"{TABLE}.csv", lambda file: table.to_csv(file, index=False, float_format="%.6f"))
    best_trials = {name: chosen for name in searches if (chosen := _best(table[table["model"] == name], tuning))}
    if best_trials:
        for file in filter(None, (tuning.folder / BEST, best)):
            file.parent.mkdir(parents=True, exist_ok=True)
            text = study_text(tuning, best_trials, train, valid, file.parent)
            write_text(file, text)
    return SearchResult(str(tuning.folder), tuning.tune.metric, "validation", table, best_trials)


def check_best(best: Path, folder: Path, *, overwrite: bool) -> None:
    """Raises ConfigError if `best` exists and is not a copy of `folder/best.yaml`, unless `overwrite` is set."""
    check_output(best, overwrite=overwrite or _is_copy(best, folder / BEST))


def _is_copy(best: Path, own: Path) -> bool:
    """Whether two study files are equal except for their section `data`."""
    if not (best.is_file() and own.is_file()):
        return False
    try:
        studies = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (best, own)]
    except (OSError, ValueError, yaml.YAMLError):
        return False
    if not all(isinstance(study, dict) for study in studies):
        return False
    left, right = ({key: value for key, value in study.items() if key != "data"} for study in studies)
    return bool(left == right)


def trials_of(name: str, search: Study) -> list[dict[str, Any]]:
    """One row per finished trial, in order of number."""
    return [_row(name, trial) for trial in search.get_trials(deepcopy=False) if trial.state.is_finished()]


def study_text(tuning: Tuning, best: Mapping[str, dict[str, Any]], train: Dataset, valid: Dataset, folder: Path) -> str:
    """Text of a study file in `folder`: data, the best hyperparameters of each model, and comments on the search."""
    how, seeds = tuning.tune, ", ".join(map(str, tuning.train.seeds))
    lines = [
        f"# Hyperparameters that `recloop tune` found on the validation side: {how.metric} of "
        f"{len(ranked_users(valid, how))} users.",
        f"# The test side was not read. Search {tuning.name!r}, its seed {how.seed}, training seeds {seeds};",
        f"# {train.n_users} users, {train.n_items} items, {len(train)} train interactions.",
        *(
            f"# Trials of {name} had at most {most} epochs, as it has below: with more, other values may be better."
            for name, most in how.epochs.items()
        ),
        "# The best of many trials reads better on the side that chose it than it is.",
        *(f"#   {line}" for line in _lines(best, how.metric)),
    ]
    values = {
        "name": tuning.name,
        "data": _data(tuning, folder),
        "train": tuning.train.model_dump(mode="json", exclude_defaults=True)
        | {"models": [{name: _hyperparameters(tuning, name, chosen)} for name, chosen in best.items()]},
    }
    return "\n".join(lines) + "\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _row(name: str, trial: FrozenTrial) -> dict[str, Any]:
    facts = trial.user_attrs[TRIAL_FACTS]
    return {
        "model": name,
        "trial": trial.number,
        "state": "ok" if trial.state.name == "COMPLETE" else "failed",
        "value": trial.value if trial.value is not None else np.nan,
        "figures": json.dumps(facts.get("figures", [])),
        "epochs": json.dumps(facts.get("epochs", [])),
        "seconds": round(facts.get("seconds", 0.0), 3),
        "hyperparameters": json.dumps(facts.get("settings", {})),
        "error": facts.get("error", ""),
    }


def _best(trials: pd.DataFrame, tuning: Tuning) -> dict[str, Any] | None:
    """The best of one model's trials (ties: the earlier), and the value of the first, which has the defaults."""
    good = trials[trials["state"] == "ok"]
    if good.empty:
        return None
    sign = -1 if tuning.tune.direction == "minimize" else 1
    top = good.iloc[int((sign * good["value"].to_numpy()).argmax())]
    first = good[good["trial"] == 0]["value"]
    return {
        "hyperparameters": json.loads(top["hyperparameters"]),
        "value": float(top["value"]),
        "trial": int(top["trial"]),
        "defaults": float(first.iloc[0]) if len(first) else None,
        "trials": len(trials),
        "failed": int((trials["state"] != "ok").sum()),
        "seconds": round(float(trials["seconds"].sum()), 1),
    }


def _hyperparameters(tuning: Tuning, name: str, trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's hyperparameters, with `epochs` if the search limited them."""
    if name not in tuning.tune.epochs:
        return dict(trial["hyperparameters"])
    return trial_settings(name, trial["hyperparameters"], tuning.train, tuning.tune)


def _lines(best: Mapping[str, dict[str, Any]], metric: str) -> list[str]:
    return [
        f"{name}: {metric} {trial['value']:.4f} (trial {trial['trial']} of 0-{trial['trials'] - 1}; "
        f"defaults {_figure(trial['defaults'])}); {trial['failed']} failed; {trial['seconds']:.0f} s of training"
        for name, trial in best.items()
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _data(tuning: Tuning, folder: Path) -> dict[str, Any]:
    """The data section with paths relative to `folder`."""
    values = tuning.data.model_dump(mode="json", exclude_defaults=True)
    # Written even if it is the default, because readers look for it first.
    values = {"source": tuning.data.source, **values}
    for key in PATHS:
        if values.get(key) is not None:
            values[key] = _seen_from(folder, values[key])
    for sides in [settings for name, settings in values.get("split", {}).items() if name == "given"]:
        for key in ("valid_path", "test_path"):
            if sides.get(key) is not None:
                sides[key] = _seen_from(folder, sides[key])
    return values


def _seen_from(folder: Path, path: str) -> str:
    return Path(relpath(path, folder)).as_posix()
