"""recloop closes the loop between LLM agents and recommenders: simulate, refine, retrain, measure.

Every verb of the command line is a function here: `recloop run study.yaml` is `recloop.run("study.yaml")`.
"""

from __future__ import annotations

import importlib
from typing import Any

VERBS = {
    "run": "simulators.studies.run",
    "refine": "simulators.refining.refine",
    "diff": "simulators.refining.diff",
    "undo": "simulators.refining.undo",
    "fidelity": "simulators.fidelity.suite",
    "estimate": "simulators.studies.estimate",
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
    "prompts_list": "simulators.inspection.prompts",
    "prompts_show": "simulators.inspection.prompts",
    "prompts_render": "simulators.inspection.prompt_rendering",
}
"""Verb -> the module it lives in; imported when first used, for torch and chromadb take seconds."""

__all__ = [*VERBS]


def __getattr__(name: str) -> Any:
    if name in VERBS:
        # `recloop.run` stays the function although a module of that name exists further down.
        return getattr(importlib.import_module(f".{VERBS[name]}", __name__), name)
    raise AttributeError(f"module 'recloop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *VERBS])
