"""Guidance: an LLM's scores of (user, item) pairs as a gated extra term of a recommender's loss."""

from .guided import Guided, GuidedConfig
from .scores import PairScores, popularity_scores, random_scores, read_scores, shuffled_scores, write_scores
from .selective import Selective

__all__ = [
    "Guided",
    "GuidedConfig",
    "PairScores",
    "Selective",
    "popularity_scores",
    "random_scores",
    "read_scores",
    "shuffled_scores",
    "write_scores",
]
