"""What one list's answers are worth to one user: the place of the truth, the AUC, yes and no, Kendall's tau."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...recsys.data import Dataset
from ...recsys.evaluation import evaluate_candidates, user_auc
from .cases import Case

Doubles = npt.NDArray[np.float64]


def ndcg(
    cases: Sequence[Case], order: Sequence[Doubles | None], known: Dataset, cutoffs: Sequence[int]
) -> dict[str, Doubles]:
    """`ndcg@k` of each case's truth, (n,) each; ties at their expected place, NaN where there is no answer."""
    columns = {f"ndcg@{k}": np.full(len(cases), np.nan) for k in cutoffs}
    answered = [place for place, scores in enumerate(order) if scores is not None]
    if not answered:
        return columns
    width = max(len(cases[place].candidates) for place in answered)
    listed = np.full((len(answered), width), -1, np.int64)
    scores = np.full((len(answered), width), -np.inf)
    for line, place in enumerate(answered):
        given = order[place]
        assert given is not None
        listed[line, : len(given)], scores[line, : len(given)] = cases[place].candidates, given
    users = np.array([cases[place].user for place in answered])
    truth = np.array([cases[place].truth for place in answered])
    evaluated = evaluate_candidates(
        lambda codes, candidates: scores, users, listed, truth, known=known, metrics=list(columns), name="answers"
    )
    for metric in columns:
        columns[metric][answered] = evaluated.values(metric)
    return columns


def auc(case: Case, scores: Doubles | None) -> float:
    """Chance that an item taken scores above one that was not, ties half; NaN without an answer."""
    if scores is None:
        return float("nan")
    return float(user_auc(np.zeros(len(scores), np.int64), np.array(case.taken, np.float64), scores, 1)[0])


def yes_by_share(scores: Doubles, share: float) -> Doubles:
    """The k best as yes, k = share of the list; of items tied at the border each counts its part of a yes.

    (n,) in [0, 1]: the expected answer where ties are broken by chance.
    """
    k = round(share * len(scores))
    bar = np.sort(scores)[::-1][k - 1] if k else np.inf
    above, tied = scores > bar, scores == bar
    return np.asarray(above + tied * (k - above.sum()) / max(1, tied.sum()), np.float64)


def decisions(case: Case, yes: Doubles | None) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of yes answers (n,) in [0, 1]; NaN without an answer.

    Precision is NaN where nothing is answered yes; F1 is then 0, for nothing was found.
    """
    if yes is None:
        return dict.fromkeys(("accuracy", "precision", "recall", "f1"), float("nan"))
    taken = np.array(case.taken, np.float64)
    hit = float((yes * taken).sum())
    precision = hit / yes.sum() if yes.sum() else float("nan")
    recall = hit / taken.sum()
    return {
        "accuracy": float((yes * taken + (1 - yes) * (1 - taken)).mean()),
        "precision": float(precision),
        "recall": recall,
        "f1": 2 * hit / float(yes.sum() + taken.sum()),
    }


def kendall(first: Doubles, second: Doubles) -> float:
    """Kendall's tau-b of two scorings of the same items, -1 to 1; NaN where one of them ties everything."""
    a = np.sign(first[:, None] - first[None, :])
    b = np.sign(second[:, None] - second[None, :])
    norm = np.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / norm if norm else float("nan")
