"""`data convert`: whole files or none, and nothing of the user's replaced unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from recloop.errors import ConfigError, DataError, RunError
from recloop.simulators.inspection.datasets import data_convert, data_info

from tests.full_disk import full_disk

SMALL = ["n_users=40", "n_items=120"]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.inter", "folder"])
def test_a_full_disk_leaves_no_cut_file_and_is_one_line(name: str, tmp_path: Path) -> None:
    with full_disk(after=2048), pytest.raises(RunError, match=f"{name} cannot be written"):
        data_convert("bazaar", None, tmp_path / name, SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.csv", "folder"])
def test_what_exists_is_replaced_only_with_overwrite(name: str, tmp_path: Path) -> None:
    out = tmp_path / name
    data_convert("bazaar", None, out, SMALL)
    with pytest.raises((ConfigError, DataError), match=r"exists already.*--overwrite"):
        data_convert("bazaar", None, out, SMALL)
    data_convert("bazaar", None, out, [*SMALL, "seed=1"], overwrite=True)


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match="choose a new folder"):
        data_convert("bazaar", None, tmp_path / "mine", SMALL, overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"


def test_the_file_that_is_read_is_never_written(tmp_path: Path) -> None:
    log = data_convert("bazaar", None, tmp_path / "log.csv", SMALL)
    before = log.read_bytes()
    with pytest.raises(ConfigError, match="is the file that is read"):
        data_convert("table", log, tmp_path / "none" / ".." / "log.csv", overwrite=True)
    assert log.read_bytes() == before


@pytest.mark.parametrize("name", ["file/out.csv", "file/folder"])
def test_a_place_below_a_file_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is a file, not a folder"):
        data_convert("table", tmp_path / "not-there.csv", tmp_path / name)


def test_the_facts_of_what_was_converted_are_those_of_the_source(tmp_path: Path) -> None:
    out = data_convert("bazaar", None, tmp_path / "folder", SMALL)
    assert data_info("written", out)["fingerprint"] == data_info("bazaar", None, SMALL)["fingerprint"]
