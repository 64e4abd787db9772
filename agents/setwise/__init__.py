"""The set-wise user agent: assess, validate, reflect on overlapping sets of candidates."""

from .agent import SetwiseAgent
from .config import Setwise
from .fold import Fold
from .ranking import RankingQuery, SetwiseRanking

__all__ = ["Fold", "RankingQuery", "Setwise", "SetwiseAgent", "SetwiseRanking"]
