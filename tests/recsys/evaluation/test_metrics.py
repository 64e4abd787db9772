"""Metrics against a hand-computed table, against ir-measures, against all orders of a tie, and by their properties."""

import itertools

import ir_measures
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.evaluation import auc, logloss, parse, user_auc
from recloop.recsys.evaluation.beyond import coverage, gini, novelty
from recloop.recsys.evaluation.metrics import METRICS, Placement
from sklearn.metrics import log_loss, roc_auc_score


def placement(scores: np.ndarray, relevant: np.ndarray) -> Placement:
    """By counting every pair: scores and relevant are (n, items)."""
    user, item = np.nonzero(relevant)
    own = scores[user, item][:, None]
    return Placement(user, (scores[user] > own).sum(1), (scores[user] == own).sum(1), relevant.sum(1))


def test_a_table_computed_by_hand() -> None:
    # Relevant at positions 1 and 3 of 2; at position 2 of 1; at none of 1; nothing held out.
    hits = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
    placed = Placement.of_hits(hits, np.array([2, 1, 1, 0]))
    nan = np.nan
    discount = 1 / np.log2(3)
    expected = {
        "recall": [1, 1, 0, nan],
        "precision": [2 / 3, 1 / 3, 0, nan],
        "hr": [1, 1, 0, nan],
        "mrr": [1, 1 / 2, 0, nan],
        "map": [(1 + 2 / 3) / 2, 1 / 2, 0, nan],
        "ndcg": [(1 + 0.5) / (1 + discount), discount, 0, nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(METRICS[name](placed, 3), values, err_msg=name)


@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_metrics_agree_with_ir_measures_on_random_rankings(k: int) -> None:
    rng = np.random.default_rng(k)
    scores, relevant = rng.random((40, 60)), rng.random((40, 60)) < 0.08
    relevant[0] = False
    relevant[0, 3] = True
    user, item = np.nonzero(relevant)
    qrels = pd.DataFrame({"query_id": user.astype(str), "doc_id": item.astype(str), "relevance": 1})
    users, items = np.divmod(np.arange(scores.size), 60)
    run = pd.DataFrame({"query_id": users.astype(str), "doc_id": items.astype(str), "score": scores.ravel()})
    theirs = {"recall": "R", "precision": "P", "ndcg": "nDCG", "map": "AP", "mrr": "RR", "hr": "Success"}
    measures = {name: ir_measures.parse_measure(f"{name_there}@{k}") for name, name_there in theirs.items()}
    found = {(m.query_id, m.measure): m.value for m in ir_measures.iter_calc(measures.values(), qrels, run)}
    placed = placement(scores, relevant)
    for name, measure in measures.items():
        mine = METRICS[name](placed, k)
        judged = np.flatnonzero(relevant.any(1))
        np.testing.assert_allclose(
            mine[judged], [found[str(user), measure] for user in judged], atol=1e-9, err_msg=name
        )
        assert np.isnan(mine[~relevant.any(1)]).all()


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("name", METRICS)
def test_a_tie_counts_as_the_mean_over_all_its_orders(name: str, k: int) -> None:
    scores = np.array([[3, 2, 2, 2, 2, 1], [1, 1, 1, 1, 1, 1], [2, 2, 1, 1, 1, 0]], float)
    relevant = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1], [0, 1, 1, 0, 1, 1]], bool)
    mean = np.zeros(3)
    orders = list(itertools.permutations(range(6)))
    for order in orders:
        # Adding less than a step of score breaks every tie in this order.
        mean += METRICS[name](placement(scores + np.array(order) / 10, relevant), k)
    np.testing.assert_allclose(METRICS[name](placement(scores, relevant), k), mean / len(orders), atol=1e-12)


worlds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 12), st.integers(1, 4))
def test_values_are_within_bounds_and_do_not_depend_on_the_order_of_users(
    rng: np.random.Generator, k: int, levels: int
) -> None:
    scores, relevant = rng.integers(0, levels, (7, 10)).astype(float), rng.random((7, 10)) < 0.3
    order = rng.permutation(7)
    for name, metric in METRICS.items():
        values = metric(placement(scores, relevant), k)
        assert np.array_equal(np.isnan(values), ~relevant.any(1)), name
        assert np.all((np.nan_to_num(values) >= -1e-12) & (np.nan_to_num(values) <= 1 + 1e-12)), name
        np.testing.assert_allclose(metric(placement(scores[order], relevant[order]), k), values[order], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 12))
def test_lifting_a_relevant_item_never_lowers_a_value(rng: np.random.Generator, k: int) -> None:
    scores, relevant = rng.integers(0, 5, (1, 10)).astype(float), np.zeros((1, 10), bool)
    relevant[0, rng.choice(10, 3, replace=False)] = True
    better = scores.copy()
    better[0, rng.choice(np.flatnonzero(relevant[0]))] += rng.integers(1, 4)
    for name, metric in METRICS.items():
        before, after = metric(placement(scores, relevant), k), metric(placement(better, relevant), k)
        assert after[0] >= before[0] - 1e-12, name


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(1, 11))
def test_recall_hr_mrr_and_map_do_not_fall_with_the_cutoff(rng: np.random.Generator, k: int) -> None:
    placed = placement(rng.integers(0, 4, (5, 12)).astype(float), rng.random((5, 12)) < 0.4)
    for name in ("recall", "hr", "mrr", "map"):
        before, after = METRICS[name](placed, k), METRICS[name](placed, k + 1)
        assert np.all(np.nan_to_num(after) >= np.nan_to_num(before) - 1e-12), name


@pytest.mark.parametrize(
    ("text", "hint"), [("ndgc@10", "ndcg@10"), ("recal@5", "recall@10"), ("recall", "recall@10"), ("hr@0", "hr@10")]
)
def test_a_wrong_metric_name_is_refused_with_the_nearest(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        parse(text)


def test_names_are_read_whatever_their_case() -> None:
    assert str(parse(" NDCG@10 ")) == "ndcg@10"
    assert parse("coverage@5").of_lists


def test_coverage_gini_and_novelty_by_hand() -> None:
    lists = np.array([[0, 1], [0, 2], [0, -1]])
    assert coverage(lists, 2, 4) == pytest.approx(3 / 4)
    assert coverage(lists, 1, 4) == pytest.approx(1 / 4)
    # Shown 0, 1, 1, 3 times: sum over pairs of |difference| / (2 n sum) = 2 * (1 + 1 + 3 + 0 + 2 + 2) / (2 * 4 * 5).
    assert gini(lists, 2, 4) == pytest.approx(9 / 20)
    assert gini(lists, 1, 4) == pytest.approx(3 / 4)
    assert gini(np.arange(4)[:, None], 1, 4) == pytest.approx(0)
    # Known to 8, 2 and no users of 8: 0, 2 and (as if to one) 3 bits; item 0 is shown three times.
    assert novelty(lists, 2, np.array([8, 2, 0, 1]), 8) == pytest.approx((3 * 0 + 2 + 3) / 5)
    assert np.isnan(gini(np.full((2, 2), -1), 2, 4))


def test_auc_and_logloss_agree_with_sklearn() -> None:
    rng = np.random.default_rng(3)
    label, score = rng.integers(0, 2, 500), rng.integers(0, 20, 500) / 20
    user = rng.integers(0, 30, 500)
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score))
    assert logloss(label, score * 0.9 + 0.05) == pytest.approx(log_loss(label, score * 0.9 + 0.05))
    by_user = user_auc(user, label, score, 31)
    for one in range(30):
        mine = user == one
        assert by_user[one] == pytest.approx(roc_auc_score(label[mine], score[mine]))
    assert np.isnan(by_user[30])


def test_auc_without_both_classes_is_undefined_and_bad_rows_are_named() -> None:
    assert np.isnan(auc([1, 1], [0.1, 0.2]))
    with pytest.raises(DataError, match="row 1 is neither 0 nor 1"):
        auc([1, 2], [0.1, 0.2])
    with pytest.raises(DataError, match="row 0 is NaN"):
        auc([1, 0], [np.nan, 0.2])
    with pytest.raises(DataError, match="sigmoid"):
        logloss([1, 0], [3.0, -2.0])
