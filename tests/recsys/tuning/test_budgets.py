"""A search ends by its budget, and goes on where it was killed as if it had not been."""

import json

import pytest
import yaml
from recloop.errors import RunError
from recloop.recsys.tuning import tune

from tests.recsys.tuning.searches import module, outcome, search


def test_a_search_that_is_killed_in_a_trial_makes_the_trials_that_it_would_have_made(tmp_path, monkeypatch):
    how = {"trials": 10}
    whole = tune(search(tmp_path / "whole", **how))
    real, calls = module("tune").run_trial, []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) in (3, 6, 12):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module("tune"), "run_trial", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tune(search(tmp_path / "killed", **how))
    resumed = tune(search(tmp_path / "killed", **how))
    assert outcome(resumed) == outcome(whole)
    assert list(resumed.table["trial"]) == [*range(10)]


def test_a_larger_budget_goes_on_from_the_trials_there_are(tmp_path):
    few, more = (tune(search(tmp_path / "a", models=["ease"], trials=n)) for n in (3, 9))
    assert outcome(more)[:3] == outcome(few)
    assert outcome(more) == outcome(tune(search(tmp_path / "b", models=["ease"], trials=9)))


def test_minutes_end_a_search_after_the_trial_that_passes_them(tmp_path, monkeypatch):
    real = module("tune").run_trial

    def slow(*arguments):
        found = real(*arguments)
        return type(found)(found.figures, found.epochs, 25.0)

    monkeypatch.setattr(module("tune"), "run_trial", slow)
    how = {"models": ["ease"], "trials": None, "minutes": 1.0}
    assert len(tune(search(tmp_path, **how)).table) == 3
    assert len(tune(search(tmp_path, **how)).table) == 3, "the minutes of a resumed search count"


@pytest.mark.parametrize(
    ("changed", "said"), [({"seed": 1}, "another seed"), ({"metric": "recall@5"}, "another metric")]
)
def test_a_folder_of_another_search_is_refused(tmp_path, changed, said):
    tune(search(tmp_path, models=["ease"]))
    with pytest.raises(RunError, match=said):
        tune(search(tmp_path, models=["ease"], **changed))


def test_two_searches_do_not_share_a_folder(tmp_path):
    with module("storage").alone(search(tmp_path).folder), pytest.raises(RunError, match="searched by another process"):
        tune(search(tmp_path))


def test_trials_are_cut_short_where_the_file_says_so_and_the_study_is_too(tmp_path):
    found = tune(search(tmp_path, models=["bpr"], epochs={"bpr": 2}, trials=2))
    assert all(json.loads(epochs)[0] <= 2 for epochs in found.table["epochs"])
    written = yaml.safe_load((tmp_path / "small" / "best.yaml").read_text())
    assert written["train"]["models"][0]["bpr"]["epochs"] == 2
