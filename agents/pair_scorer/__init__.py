"""The pair scorer: offline LLM scores of candidate items for users, as rows of (user, item, score)."""

from .agent import PairScorer
from .config import ScorePairs
from .plan import plan
from .table import pair_scores

__all__ = ["PairScorer", "ScorePairs", "pair_scores", "plan"]
