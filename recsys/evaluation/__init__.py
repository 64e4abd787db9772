"""What a ranking is worth: exact metrics a user, groups, intervals and the comparison of variants."""

from .candidates import evaluate_candidates
from .clicks import auc, logloss, user_auc
from .comparison import as_markdown, compare, p_value
from .evaluation import Evaluation, read_values, write_values
from .foreign import score_rankings
from .groups import group_masks, history_buckets
from .intervals import Interval, holm, interval, paired, wilcoxon
from .metrics import CutoffMetric, Placement, parse
from .ranking import evaluate

__all__ = [
    "CutoffMetric",
    "Evaluation",
    "Interval",
    "Placement",
    "as_markdown",
    "auc",
    "compare",
    "evaluate",
    "evaluate_candidates",
    "group_masks",
    "history_buckets",
    "holm",
    "interval",
    "logloss",
    "p_value",
    "paired",
    "parse",
    "read_values",
    "score_rankings",
    "user_auc",
    "wilcoxon",
    "write_values",
]
