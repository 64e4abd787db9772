"""Calibration: an informative confidence is told from an uninformative one, and the cut keeps what it promises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recloop.agents.discriminator import Calibration, Cut, Discriminate, Noise, calibration_of
from recloop.agents.discriminator.calibration import calibration_error
from sklearn.metrics import roc_auc_score


def judged(rows: int, told: float, seed: int = 0, **settings: Any) -> Calibration:
    """Real rows' confidences lie `told` above those of sampled ones, both of spread .15; four rows a user."""
    rng = np.random.default_rng(seed)
    real = np.arange(rows) % 2 == 0
    scores = np.clip(0.4 + told * real + rng.normal(0, 0.15, rows), 0, 1)
    return Calibration(scores, real, np.arange(rows) // 4, Discriminate(**settings))


def test_the_auc_is_that_of_the_curve_ties_included() -> None:
    made = judged(400, 0.1)
    coarse = Calibration(np.round(made.scores, 1), made.real, made.user, made.config)
    for one in (made, coarse):
        assert one.auc == pytest.approx(roc_auc_score(one.real, one.scores))
        low, high = one.interval
        assert low < one.auc < high
        assert high - low < 0.15


def test_a_good_confidence_is_informative_and_a_constant_or_random_one_is_not() -> None:
    assert judged(400, 0.2).informative
    rng = np.random.default_rng(1)
    real, user = np.arange(400) % 2 == 0, np.arange(400) // 4
    for scores in (np.full(400, 0.9), rng.random(400)):
        found = Calibration(scores, real, user, Discriminate())
        assert not found.informative
        assert found.interval[0] <= 0.5 <= found.interval[1]
        told = found.report()
        assert "uninformative" in told["verdict"]
        assert "nothing is kept on its word alone" in told["verdict"]
        assert not found.keeps(scores).any()
        assert not found.doubts(scores).any()


def test_at_ones_own_risk_an_uninformative_confidence_may_be_believed() -> None:
    found = judged(400, 0.0, cut=Cut(untested="keep"))
    assert not found.informative
    assert found.keeps([1.0]).all()
    assert "kept all the same" in found.report()["verdict"]


def test_a_confidence_that_is_the_wrong_way_round_is_not_believed() -> None:
    found = judged(400, -0.3)
    assert found.auc < 0.2
    assert not found.informative


@pytest.mark.parametrize("calibrator", ["isotonic", "platt"])
def test_what_is_calibrated_means_what_it_says(calibrator: str) -> None:
    found = judged(4000, 0.2, calibrator=calibrator)
    assert calibration_error(found.scores, found.real) > 0.08
    assert calibration_error(found.crossed, found.real) < 0.05
    assert (np.diff(found(np.linspace(0, 1, 50))) >= 0).all()


def test_the_calibrator_of_a_user_has_not_seen_that_user() -> None:
    """One user's rows are labelled at odds with all others: seen, they would bend the steps at their own place."""
    made = judged(200, 0.2)
    scores, real = made.scores.copy(), made.real.copy()
    scores[:4], real[:4] = [0.001, 0.002, 0.998, 0.999], [True, True, False, False]
    found = Calibration(scores, real, made.user, made.config)
    assert (found.crossed[:2] < 0.2).all()
    assert (found.crossed[2:4] > 0.8).all()


def test_a_quantile_keeps_as_sure_rows_as_that_share_of_real_ones_is_not() -> None:
    found = judged(4000, 0.2, cut=Cut(value=0.75))
    assert found.keeps(found.scores[found.real]).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("wanted", [0.7, 0.8, 0.9])
def test_a_precision_is_reached_on_rows_never_seen_and_keeps_as_many_as_it_can(wanted: float) -> None:
    found = judged(4000, 0.2, cut=Cut(by="precision", value=wanted))
    other = judged(4000, 0.2, seed=9)
    kept = found.keeps(other.scores)
    assert other.real[kept].mean() == pytest.approx(wanted, abs=0.04)


def test_a_precision_that_cannot_be_reached_keeps_nothing() -> None:
    found = judged(400, 0.1, cut=Cut(by="precision", value=1.0))
    assert not found.keeps(np.linspace(0, 0.9, 50)).any()


def test_noise_is_what_is_less_sure_than_a_share_of_real_rows() -> None:
    found = judged(4000, 0.2, noise=Noise(quantile=0.1))
    assert found.doubts(found.scores[found.real]).mean() == pytest.approx(0.1, abs=0.01)
    assert not judged(400, 0.2, noise=Noise(action="keep")).doubts([0.0]).any()


def test_the_calibration_error_by_hand() -> None:
    told, real = np.array([0.95, 0.95, 0.05, 0.05]), np.array([True, False, False, False])
    assert calibration_error(told, real) == pytest.approx((abs(1.9 - 1) + abs(0.1 - 0)) / 4)
    assert np.isnan(calibration_error(np.empty(0), np.empty(0, bool)))


def test_without_rows_nothing_is_known_and_nothing_kept() -> None:
    found = calibration_of(pd.DataFrame(columns=["key", "agent", "status", "payload"]), Discriminate())
    told = found.report()
    assert np.isnan(told["auc"])
    assert not found.informative
    assert not found.keeps([0.99]).any()
    assert json.loads(json.dumps(told, default=str))["cut"] is None
