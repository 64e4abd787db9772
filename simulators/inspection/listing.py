"""`list models`, `steps`, `metrics`, `sources` and `prompts`: the names that a study can write, described.

Descriptions are the docstrings of the classes and functions, read from their files: importing them would import torch,
which takes seconds. Plug-ins ("package.module:Class") are not listed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ... import prompts
from ...recsys.registry import CLICK_MODELS, MODELS

PACKAGE = Path(__file__).parents[2]

STEPS = {
    "setwise": "recloop.agents.setwise:",
    "generate": "recloop.agents.generator:",
    "discriminate": "recloop.agents.discriminator:",
    "denoise": "recloop.agents.denoiser:",
    "score_pairs": "recloop.agents.pair_scorer:",
}
"""The steps of `simulators.studies.steps.AGENTS`, with the package of each."""

_METRICS, _BEYOND = "recloop.recsys.evaluation.metrics", "recloop.recsys.evaluation.beyond"
METRICS = {
    **{name: f"{_METRICS}:{name}" for name in ("recall", "precision", "hr", "mrr", "ndcg")},
    "map": f"{_METRICS}:map_",
    **{name: f"{_BEYOND}:{name}" for name in ("coverage", "gini", "novelty")},
}
"""The metrics of `recsys.evaluation.metrics`, with the function of each."""

_DATA = "recloop.recsys.data"
SOURCES = {
    "bazaar": f"{_DATA}.sources:bazaar_source",
    "movielens": f"{_DATA}.movielens:read_movielens",
    "amazon": f"{_DATA}.amazon:read_amazon",
    "atomic": f"{_DATA}.atomic:read_atomic",
    "table": f"{_DATA}.tables:read_table",
    "windows": f"{_DATA}.windows:read_windows",
    "written": f"{_DATA}.writers:read_written",
}
"""The sources of `recsys.data.sources`, with the reader of each."""


def list_models() -> list[dict[str, Any]]:
    """Every recommender: name, description, and whether it ranks items (`ranking`) or predicts clicks (`click`)."""
    kinds = {name: "click" if name in CLICK_MODELS else "ranking" for name in MODELS}
    modules = {
        name: address.partition(":")[0] + ":" for name, address in MODELS.items()
    }  # their docstrings name papers
    return [{**entry, "kind": kinds[entry["name"]]} for entry in _described(modules)]


def list_steps() -> list[dict[str, Any]]:
    """Every agent that a study can name as a step: name and description."""
    return _described(STEPS)


def list_metrics() -> list[dict[str, Any]]:
    """Every metric: name and description; a study writes it with a cutoff, `ndcg@10`."""
    return _described(METRICS)


def list_sources() -> list[dict[str, Any]]:
    """Every source of data: name and description."""
    return _described(SOURCES)


def list_prompts() -> list[dict[str, Any]]:
    """Every shipped prompt: name and description; `prompts_list` has digests and variables."""
    loaded = [prompts.load(name) for name in prompts.names()]
    return [{"name": p.name, "description": _first_sentence(p.notes.lstrip("# "))} for p in loaded]


def _described(addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "description": _description(address)} for name, address in addresses.items()]


@cache
def _description(address: str) -> str:
    """The first sentence of the docstring of a "package.module:name", or of a whole module ("package.module:")."""
    module, _, name = address.partition(":")
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    definitions = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
    own = ast.get_docstring(definitions[0]) if definitions else None
    return _first_sentence(own or ast.get_docstring(tree) or "")


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<!\bal)(?<!\beq)\. (?=[A-Z`])", paragraph)[0].removesuffix(".")
