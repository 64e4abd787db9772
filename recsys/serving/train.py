"""`train`: fits one model of a study file and saves it in a folder for evaluation, serving and export."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ..data.data_config import PATHS, DataConfig
from ..data.frames import is_frame
from ..data.sources import load_split
from ..evaluation import evaluate
from ..models.capabilities import log_of
from ..models.recommender import FitContext
from ..models.table import model as fresh_model
from ..models.train_config import TrainConfig
from ..sections import Sections, data_section, name_of, train_section
from ..training.context import check_context
from .folder import check_free, facts_of, keep

METRICS = ("recall@10", "ndcg@10")


def train(
    study: Sections,
    out: Path | str,
    model: str | None = None,
    settings: Sequence[str] = (),
    *,
    seed: int | None = None,
    refit: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Fits one model on the train side and saves it in the folder `out`, with the ids of users and items.

    study: a YAML file, or a dict, with sections `data` and `train`, such as a study or the `best.yaml` of a search;
    other sections are ignored, so no agents run. model: one of `train.models`, with its hyperparameters there; optional
    if there is only one. seed: by default the first of `train.seeds`. refit: finally learn from train + validation.
    Returns the content of `trained.json`: hyperparameters, fingerprints, seconds, and metrics of the validation side
    (none after a refit). An interrupted training in epochs is resumed. Raises ConfigError for a model that the file
    does not name, and for an existing folder without `overwrite`.
    """
    data, where, out = data_section(study, settings), train_section(study, settings), Path(out)
    name, hyperparameters = _chosen(where, model, name_of(study))
    check_free(out, overwrite)
    if refit:
        hyperparameters["refit"] = True
    made = fresh_model(name, **hyperparameters)
    number = where.seeds[0] if seed is None else seed
    context = FitContext(number, where.device, where.threads)
    check_context(context)
    sides = load_split(data)
    made.config.check(sides.train)
    checkpoints = out.with_name(out.name + ".training")
    folder = checkpoints if made.config.in_epochs else None
    began = time.monotonic()
    made.fit(sides.train, sides.valid, replace(context, folder=folder))
    seconds = time.monotonic() - began
    learnt_valid = made.config.learns_validation and len(sides.valid) > 0
    log = log_of(made)
    facts = {
        "model": name,
        "hyperparameters": made.config.model_dump(mode="json"),
        "seed": number,
        **facts_of(sides.train, sides.valid),
        "learnt_from": "train+valid" if learnt_valid else "train",
        "seconds": round(seconds, 3),
        "best_epoch": log.best_epoch if log is not None else None,
        "validation": {},
        "data": _anywhere(data),
        "recloop": version("recloop"),
    }
    if len(sides.valid) and not learnt_valid:
        validation = evaluate(made, sides, metrics=METRICS, side="valid")
        facts["validation"] = {metric: validation.mean(metric) for metric in METRICS}
    keep(made, sides.train, out, facts, overwrite=overwrite)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return {"folder": str(out), **facts}


def _chosen(where: TrainConfig, model: str | None, file: str) -> tuple[str, dict[str, Any]]:
    named = {name: dict(settings) for entry in where.models for name, settings in entry.items()}
    if model is None and len(named) == 1:
        model = next(iter(named))
    if model not in named:
        complaint = f"{model!r} is not among" if model is not None else "say which of"
        raise ConfigError(f"{file}: {complaint} train.models: {', '.join(named)} (--model)")
    return model, where.hyperparameters(model, named[model])


def _anywhere(data: DataConfig) -> dict[str, Any]:
    """The data section with absolute paths, so that the model can be served from any working folder."""
    values = data.model_dump(mode="json", exclude_defaults=True)
    values = {"source": data.source, **values}
    for key in PATHS:
        if values.get(key) is not None and not is_frame(values[key]):
            values[key] = str(Path(values[key]).resolve())
    given = values.get("split", {}).get("given", {})
    for key in ("valid_path", "test_path"):
        if given.get(key) is not None:
            given[key] = str(Path(given[key]).resolve())
    return values
