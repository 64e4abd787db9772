"""Click prediction on a feature table: the probability that a user likes an item. One paper per file."""

from ..data.feature_table import FeatureTable
from ..registry import CLICK_MODELS
from .evaluation import judge_clicks
from .model import ClickConfig, ClickModel
from .rows import random_rows

__all__ = ["CLICK_MODELS", "ClickConfig", "ClickModel", "FeatureTable", "judge_clicks", "random_rows"]
