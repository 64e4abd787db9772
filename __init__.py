"""recloop closes the loop between LLM agents and recommenders: simulate, refine, retrain, measure.

Every verb of the command line is a function here: `recloop run study.yaml` is `recloop.run("study.yaml")`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; tests/test_front_door.py holds it to VERBS
    from .agents.tuning.tune_lm import tune_lm as tune_lm
    from .recsys.serving.evaluate import evaluate as evaluate
    from .recsys.serving.recommend import recommend as recommend
    from .recsys.serving.similar import similar as similar
    from .recsys.serving.train import train as train
    from .recsys.serving.vectors import vectors as vectors
    from .recsys.tuning.tune import tune as tune
    from .simulators.fidelity.suite import fidelity as fidelity
    from .simulators.i2i.report import i2i as i2i
    from .simulators.inspection.cache import cache_explain as cache_explain
    from .simulators.inspection.cache import cache_export as cache_export
    from .simulators.inspection.cache import cache_import as cache_import
    from .simulators.inspection.cache import cache_prune as cache_prune
    from .simulators.inspection.cache import cache_stats as cache_stats
    from .simulators.inspection.comparison import compare as compare
    from .simulators.inspection.datasets import data_convert as data_convert
    from .simulators.inspection.datasets import data_info as data_info
    from .simulators.inspection.listing import list_metrics as list_metrics
    from .simulators.inspection.listing import list_models as list_models
    from .simulators.inspection.listing import list_prompts as list_prompts
    from .simulators.inspection.listing import list_sources as list_sources
    from .simulators.inspection.listing import list_steps as list_steps
    from .simulators.inspection.prompt_rendering import prompts_render as prompts_render
    from .simulators.inspection.prompts import prompts_list as prompts_list
    from .simulators.inspection.prompts import prompts_show as prompts_show
    from .simulators.inspection.runs import runs_list as runs_list
    from .simulators.inspection.runs import runs_show as runs_show
    from .simulators.inspection.schema import schema as schema
    from .simulators.inspection.trace import runs_trace as runs_trace
    from .simulators.inspection.trial import try_study as try_study
    from .simulators.refining.diff import diff as diff
    from .simulators.refining.refine import refine as refine
    from .simulators.refining.undo import undo as undo
    from .simulators.studies.ablation import ablate as ablate
    from .simulators.studies.demo import demo as demo
    from .simulators.studies.estimate import estimate as estimate
    from .simulators.studies.run import run as run
    from .simulators.studies.template import init as init

try:
    __version__ = version("recloop")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

VERBS = {
    "demo": "simulators.studies.demo",
    "init": "simulators.studies.template",
    "schema": "simulators.inspection.schema",
    "run": "simulators.studies.run",
    "try_study": "simulators.inspection.trial",
    "refine": "simulators.refining.refine",
    "diff": "simulators.refining.diff",
    "undo": "simulators.refining.undo",
    "fidelity": "simulators.fidelity.suite",
    "estimate": "simulators.studies.estimate",
    "compare": "simulators.inspection.comparison",
    "i2i": "simulators.i2i.report",
    "ablate": "simulators.studies.ablation",
    "tune": "recsys.tuning.tune",
    "tune_lm": "agents.tuning.tune_lm",
    "train": "recsys.serving.train",
    "evaluate": "recsys.serving.evaluate",
    "recommend": "recsys.serving.recommend",
    "similar": "recsys.serving.similar",
    "vectors": "recsys.serving.vectors",
    "data_info": "simulators.inspection.datasets",
    "data_convert": "simulators.inspection.datasets",
    "runs_list": "simulators.inspection.runs",
    "runs_show": "simulators.inspection.runs",
    "runs_trace": "simulators.inspection.trace",
    "cache_stats": "simulators.inspection.cache",
    "cache_explain": "simulators.inspection.cache",
    "cache_export": "simulators.inspection.cache",
    "cache_import": "simulators.inspection.cache",
    "cache_prune": "simulators.inspection.cache",
    "list_models": "simulators.inspection.listing",
    "list_steps": "simulators.inspection.listing",
    "list_metrics": "simulators.inspection.listing",
    "list_sources": "simulators.inspection.listing",
    "list_prompts": "simulators.inspection.listing",
    "prompts_list": "simulators.inspection.prompts",
    "prompts_show": "simulators.inspection.prompts",
    "prompts_render": "simulators.inspection.prompt_rendering",
}
"""Verb -> the module it lives in; imported when first used, for torch and chromadb take seconds."""

__all__ = ["__version__", *VERBS]


def __getattr__(name: str) -> Any:
    if name in VERBS:
        # `recloop.run` stays the function although a module of that name exists further down.
        return getattr(importlib.import_module(f".{VERBS[name]}", __name__), name)
    raise AttributeError(f"module 'recloop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *VERBS])
