"""Recommenders: one paper per file, all with the protocol of `recommender.py`, made by name in `table.py`."""

from ..registry import MODELS
from .recommender import Config, FitContext, ModelConfig, Recommender
from .table import load, model, model_class, save

__all__ = ["MODELS", "Config", "FitContext", "ModelConfig", "Recommender", "load", "model", "model_class", "save"]
