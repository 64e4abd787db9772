"""The benchmark's table in small: its cells are trained, kept, not trained again, and held against each other."""

import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from recloop.agents.pair_scorer.config import Coverage

LAB = Path(__file__).resolve().parents[2] / "lab"
NAME = "ml-latest-small"


@pytest.fixture
def bench(monkeypatch, shared_data):
    monkeypatch.syspath_prepend(LAB)
    import selective_cells
    import selective_report

    yield SimpleNamespace(cells=selective_cells, report=selective_report, data=shared_data)
    for name in [name for name in sys.modules if name.startswith("selective")]:
        del sys.modules[name]


def trained(bench, out, models, rows, tuned=None):
    for model, row in itertools.product(models, rows):
        bench.cells.train_cell(bench.cells.Cell(NAME, model, row, 0, 0.3), bench.data, out, tuned)
    return bench.report.cells_of(out, NAME, 0.3)


def reported(bench, out, capsys):
    bench.report.report(bench.data, out, out, {NAME: 0.3})
    return capsys.readouterr().out


def test_cells_are_kept_and_reported_with_their_controls(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench.cells, "CANDIDATES", Coverage(source="retriever", candidates=20, users=80))
    rows = ("none", "held_out", "shuffled")
    cells = trained(bench, tmp_path, ["bpr"], rows, {"epochs": 3, "evaluate_every": 3})
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()}
    assert len(files) == 2 * len(rows)
    trained(bench, tmp_path, ["bpr"], rows, {"epochs": 3, "evaluate_every": 3})
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").iterdir()} == files
    users = cells["bpr", "held_out", 0][0]
    assert len(users) == 601
    assert users["auc"].between(0, 1).all()
    # Calibrated chances of one choice among five cannot be much worse than the share itself.
    assert users["logloss"].mean() < 0.55
    told = reported(bench, tmp_path, capsys)
    assert "| bpr | held_out - shuffled |" in told
    assert "3 differences a column" in told
    assert (tmp_path / f"selective-opens-{NAME}.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_part_of_the_table_has_every_row_and_its_trivial_truths_hold(bench, tmp_path, capsys):
    """Three models, all seven rows, one seed, as in the benchmark: about five minutes of one core."""
    models = ["bpr", "sasrec", "deepfm"]
    cells = trained(bench, tmp_path, models, bench.cells.TABLE)
    assert len(cells) == 21
    for model in models:
        opened = pd.DataFrame(cells[model, "paper", 0][1]["gate"])["mean"]
        assert opened.iloc[0] == pytest.approx(0.5)
        assert opened.iloc[-1] < 0.5
        assert pd.DataFrame(cells[model, "held_out", 0][1]["gate"])["agreement"].iloc[0] > 0.55
        assert pd.DataFrame(cells[model, "shuffled", 0][1]["gate"])["mean"].iloc[-1] < 0.2
        # A model that learnt nothing ranks like a coin; SASRec learns little in so few epochs (.68).
        assert cells[model, "none", 0][0]["auc"].mean() > 0.6
    told = reported(bench, tmp_path, capsys)
    assert told.count("| none | - |") == 3
    assert told.count(" - random |") == 3
