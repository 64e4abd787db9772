"""The pair scorer: what users would think of candidates, scored once and offline, as rows of (user, item, score)."""

from .agent import PairScorer
from .config import ScorePairs
from .plan import plan
from .table import pair_scores

__all__ = ["PairScorer", "ScorePairs", "pair_scores", "plan"]
