"""Results in a notebook: the example notebook runs, and results show themselves as HTML."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import recloop
from nbclient import NotebookClient
from recloop.notebook import Facts, html_of_facts

from tests.simulators.study_files import SMALL

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "notebook.ipynb"


def test_the_example_notebook_runs_and_shows_a_table_for_every_result(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [_html(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert len(shown) == 4
    assert "interactions" in shown[0]
    assert "completion_tokens" in shown[1]
    assert "itemknn" in shown[2]
    assert "<pre" in shown[2]
    assert "popularity" in shown[3]


def _html(cell) -> str:
    return "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)


def test_the_example_notebook_is_committed_without_outputs() -> None:
    assert not any(cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)


def test_facts_are_escaped_and_nested() -> None:
    html = html_of_facts({"<b>": {"inner": 1.5}, "rows": [{"a": 1}]})
    assert "&lt;b&gt;" in html
    assert html.count("<table>") == 3


def test_facts_are_still_a_dict() -> None:
    assert Facts({"a": 1}) == {"a": 1}


def test_a_verdict_a_refined_log_and_its_difference_show_themselves_as_html(tmp_path) -> None:
    data = {"source": "bazaar", "n_users": 40, "n_items": 150}
    train = {"models": ["popularity"], "seeds": [0]}
    verdict = recloop.run(SMALL | {"data": data, "train": train, "steps": [], "out": str(tmp_path)})
    assert "popularity" in verdict._repr_html_()
    log = tmp_path / "log.csv"
    recloop.data_convert("bazaar", None, log, ["n_users=30", "n_items=130"])
    refined = recloop.refine(log, tmp_path / "refined.csv", {"steps": [{"generate": {"users": 2}}]})
    assert "refined.csv" in refined._repr_html_()
    assert "refined.csv" in recloop.diff(log, tmp_path / "refined.csv")._repr_html_()
