"""Recommenders: one paper a file, all behind the contract of `recommender.py`.

The table of models is loaded when it is first asked for: it imports torch, and the training loop imports this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .recommender import Config, FitContext, ModelConfig, Recommender

if TYPE_CHECKING:
    from .table import MODELS, load, model, save

__all__ = ["MODELS", "Config", "FitContext", "ModelConfig", "Recommender", "load", "model", "save"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import table

        return getattr(table, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
