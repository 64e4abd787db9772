"""The one trainer: results are read where they are whole, trained where not, and the same for any number of jobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
from recloop.errors import ConfigError
from recloop.recsys.models.contract import two_tastes
from recloop.simulators.studies import grid
from recloop.simulators.studies.grid import Cell, Grid, TrainingProtocol, cells_of, train_all
from recloop.simulators.studies.study import EvaluateConfig
from recloop.simulators.studies.variants import variants

MODELS = [("popularity", "popularity", {}), ("small", "bpr", {"epochs": 2}), ("large", "bpr", {"embedding_size": 8})]


@pytest.fixture(scope="module")
def split():
    return two_tastes(users=12, items=16, each=6)


def cells(split, models=MODELS, seeds=(0, 1)) -> list[Cell]:
    return list(cells_of(models, variants(split.train, None, (), 0), seeds))


def protocol(split, **changes) -> TrainingProtocol:
    return TrainingProtocol(split, EvaluateConfig(metrics=("recall@5", "ndcg@5"), groups=("warm",)), **changes)


def same(one: Grid, two: Grid) -> None:
    pd.testing.assert_frame_equal(one.values, two.values)
    timings = ["fit_seconds", "evaluate_seconds"]
    pd.testing.assert_frame_equal(one.cells.drop(columns=timings), two.cells.drop(columns=timings))


def test_one_model_under_two_labels_is_trained_twice_and_one_without_randomness_once(split, tmp_path):
    lines: list[str] = []
    done = train_all(cells(split), protocol(split), tmp_path, lines.append)
    assert done.cells[["model", "seed"]].values.tolist() == [
        ["popularity", 0], ["small", 0], ["small", 1], ["large", 0], ["large", 1]
    ]  # fmt: skip
    assert [line.split(":")[0] for line in lines] == [f"trained {n}/5" for n in range(1, 6)]
    assert all("left" in line for line in lines[:-1])
    assert "left" not in lines[-1]
    again: list[str] = []
    same(done, train_all(cells(split), protocol(split), tmp_path, again.append))
    assert again == []


@pytest.fixture
def workers_on_threads(monkeypatch):
    """Workers as threads of this process: a spawned one takes seconds to import."""
    monkeypatch.setattr(grid, "ProcessPoolExecutor", lambda n, _, start, args: ThreadPoolExecutor(n, "", start, args))
    monkeypatch.setattr(grid, "_end_with", lambda parent: None)


def test_parallel_trainings_have_the_values_of_serial_ones(split, tmp_path, workers_on_threads):
    in_parallel(split, tmp_path)


@pytest.mark.slow
def test_trainings_in_processes_do_so_too(split, tmp_path):
    in_parallel(split, tmp_path)


def in_parallel(split, tmp_path):
    serial = train_all(cells(split), protocol(split), tmp_path / "serial")
    lines: list[str] = []
    same(serial, train_all(cells(split), protocol(split), tmp_path / "jobs", lines.append, jobs=2))
    assert {p.name for p in (tmp_path / "serial").iterdir()} == {p.name for p in (tmp_path / "jobs").iterdir()}
    assert len(lines) == 5
    wrong = [replace(cell, seed=-1) for cell in cells(split)[1:3]]
    with pytest.raises(ConfigError, match="seed -1 is negative"):
        train_all(wrong, protocol(split), tmp_path / "jobs", jobs=2)


@pytest.mark.parametrize("end", [".json", ".parquet"])
@pytest.mark.parametrize("damage", [b"garbage", b"", None])
def test_damaged_or_missing_values_are_named_and_trained_again(split, tmp_path, end, damage):
    chosen = cells(split, MODELS[:1])
    whole = train_all(chosen, protocol(split), tmp_path)
    [file] = tmp_path.glob(f"*{end}")
    file.unlink() if damage is None else file.write_bytes(damage)
    lines: list[str] = []
    same(whole, train_all(chosen, protocol(split), tmp_path, lines.append))
    assert ("damaged" in lines[0]) == (not (damage is None and end == ".json")), "without its .json a cell was cut off"
    assert lines[-1].startswith("trained 1/1")


def test_users_and_history_are_part_of_what_a_cell_is(split, tmp_path):
    chosen = cells(split, MODELS[:1])
    users = split.test.user[:3]
    train_all(chosen, protocol(split), tmp_path)
    few = train_all(chosen, protocol(split, users=users), tmp_path)
    train_all(chosen, protocol(split, history="real"), tmp_path)
    assert few.values["user"].nunique() == 3
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_the_time_left_is_what_a_model_took_before_over_the_jobs():
    progress = grid._TrainingProgress(["a", "b", "a", "b", "c"], 2, lambda _: None)
    values = pd.DataFrame({"metric": ["m"], "group": ["all"], "value": [1.0]})
    for place, seconds in ((0, 4.0), (1, 10.0)):
        facts = {"model": "x", "variant": "raw", "seed": 0, "fit_seconds": seconds, "evaluate_seconds": 0.0}
        progress.trained(place, values, facts)
    assert progress.expected() == (4 + 10 + 7) / 2


def test_no_jobs_are_refused(split, tmp_path):
    with pytest.raises(ConfigError, match="jobs is 0"):
        train_all(cells(split), protocol(split), tmp_path, jobs=0)
