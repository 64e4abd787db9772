"""Figures by hand: thresholds, F1, calibration, over-removal; intervals draw windows as wholes."""

import numpy as np
import pytest
from recloop.recsys.evaluation.clicks import auc
from sklearn.metrics import average_precision_score

from lab.detector_metrics import best_threshold, calibration_error, judge, over_removal, paired_auc

DOUBT = np.array([0.9, 0.8, 0.8, 0.3, 0.2, 0.1])
NOISE = np.array([True, True, False, False, True, False])


def test_the_threshold_is_where_f1_is_best_and_equal_doubts_are_flagged_together() -> None:
    # .9: F1 = 2/4; .8: 2 of 3 flagged, F1 = 4/6; .2: 3 of 5, F1 = 6/8.
    assert best_threshold(DOUBT, NOISE) == 0.2
    assert best_threshold(DOUBT[:4], NOISE[:4]) == 0.8
    assert best_threshold(DOUBT, np.zeros(6, bool)) == np.inf


def test_a_verdict_is_what_one_counts_by_hand() -> None:
    verdict = judge(DOUBT, NOISE, 0.8, np.arange(6) // 2, np.random.default_rng(0), draws=50)
    assert (verdict.rows, verdict.planted) == (6, 3)
    assert verdict.precision == pytest.approx(2 / 3)
    assert verdict.recall == pytest.approx(2 / 3)
    assert verdict.f1.value == pytest.approx(2 / 3)
    # Pairs of noise and other: 9; .9 wins 3, .8 wins 2 and ties 1, .2 wins 1.
    assert verdict.auc.value == pytest.approx(6.5 / 9)
    assert verdict.auc.low <= verdict.auc.value <= verdict.auc.high


def test_without_noise_nothing_is_found_and_nothing_is_claimed() -> None:
    verdict = judge(DOUBT, np.zeros(6, bool), np.inf, np.arange(6), np.random.default_rng(0), draws=5)
    assert np.isnan([verdict.auc.value, verdict.ap.value, verdict.recall, verdict.precision]).all()


def test_drawing_windows_as_wholes_widens_intervals_where_their_rows_repeat() -> None:
    rng = np.random.default_rng(4)
    doubt, noise = rng.random(60), rng.random(60) < 0.3
    many, truth = np.repeat(doubt, 20), np.repeat(noise, 20)
    rows = judge(many, truth, 0.5, np.arange(1200), np.random.default_rng(1), draws=100).auc
    wholes = judge(many, truth, 0.5, np.repeat(np.arange(60), 20), np.random.default_rng(1), draws=100).auc
    assert wholes.high - wholes.low > 2 * (rows.high - rows.low)


def test_calibration_and_over_removal() -> None:
    assert calibration_error(np.full(10, 0.3), np.arange(10) < 3, bins=1) == pytest.approx(0)
    assert calibration_error(np.full(10, 0.5), np.arange(10) < 3, bins=1) == pytest.approx(0.2)
    cold = np.array([True, True, True, False, False, False])
    assert over_removal(DOUBT, NOISE, cold, 0.3) == {"cold": 1.0, "warm": 0.5}


def test_figures_are_those_of_the_textbook_ties_included() -> None:
    rng = np.random.default_rng(2)
    doubt, noise = rng.integers(0, 8, 300) / 8, rng.random(300) < 0.3
    verdict = judge(doubt, noise, 0.5, np.arange(300), rng, draws=1)
    assert verdict.auc.value == pytest.approx(auc(noise, doubt))
    assert verdict.ap.value == pytest.approx(average_precision_score(noise, doubt))


def test_a_detector_is_not_better_than_itself_and_is_better_than_its_opposite() -> None:
    same = paired_auc(DOUBT, DOUBT, NOISE, np.arange(6), np.random.default_rng(0), draws=20)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert paired_auc(DOUBT, -DOUBT, NOISE, np.arange(6), np.random.default_rng(0), 20).value == pytest.approx(4 / 9)
