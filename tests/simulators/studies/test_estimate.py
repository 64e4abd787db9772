"""What a study with several steps will ask."""

from __future__ import annotations

import pytest
from recloop.simulators.studies.estimate import estimate
from recloop.simulators.studies.run import run
from recloop.simulators.studies.study import read_study


def of_two_steps(tmp_path, seed):
    return read_study(
        {
            "name": f"two-{seed}",
            "out": tmp_path,
            "seed": seed,
            "data": {"source": "bazaar", "n_users": 60, "n_items": 130},
            "steps": ["generate", {"discriminate": {"calibration_users": 10, "judge": ["generated"]}}],
            "train": {"models": ["popularity"], "seeds": [0]},
            "evaluate": {"metrics": ["recall@10"], "groups": [], "controls": []},
        }
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_estimate_of_a_later_step_covers_what_it_then_asks(tmp_path, seed):
    study = of_two_steps(tmp_path, seed)
    [_, later] = estimate(study, tasks=20)["steps"]
    summary = next(one for name, one in run(study).summaries.items() if name.startswith("1-"))
    assert (later["extrapolated"], later["lower_bound"]) == (True, False)
    assert later["tasks"] == summary.tasks > 10
    assert later["left"]["calls"]["low"] <= summary.calls <= later["left"]["calls"]["high"]
    [_, done] = estimate(study, tasks=2)["steps"]
    assert (done["finished"], done["extrapolated"]) == (summary.tasks, False)


def test_a_later_step_behind_one_that_cannot_be_walked_is_a_lower_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("recloop.simulators.studies.estimate.MOST_WALKED", 5)
    [first, later] = estimate(of_two_steps(tmp_path, 0), tasks=2)["steps"]
    assert (first["lower_bound"], later["lower_bound"]) == (False, True)
    assert later["tasks"] == 10, "the calibration alone"
