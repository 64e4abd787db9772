"""Tuning: hyperparameter search with Optuna on the validation side; every trial is stored."""

from .config import TuneConfig, Tuning, read_tuning
from .report import SearchResult
from .tune import tune, tune_on

__all__ = ["SearchResult", "TuneConfig", "Tuning", "read_tuning", "tune", "tune_on"]
