"""Files of the user's: whole or not at all, and replaced only on request."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from recloop.atomic import check_output, disk_errors, make_folder, write_output
from recloop.errors import ConfigError, RunError

from tests.full_disk import full_disk


def put(path: Path) -> None:
    path.write_text("x" * 10_000)


def test_a_file_that_exists_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("precious")
    with pytest.raises(ConfigError, match=r"mine\.txt exists already.*--overwrite"):
        write_output(file, put)
    with pytest.raises(ConfigError, match=r"mine\.txt exists already"):
        write_output(tmp_path / "new" / ".." / "mine.txt", put)
    assert file.read_text() == "precious"
    write_output(file, put, overwrite=True)
    assert len(file.read_text()) == 10_000


@pytest.mark.parametrize("before", [None, "precious"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(before: str | None, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    if before is not None:
        file.write_text(before)
    with full_disk(), pytest.raises(RunError, match=r"out\.txt cannot be written: File too large"):
        write_output(file, put, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ([file.name] if before else [])
    assert before is None or file.read_text() == before


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space on the disk or choose another"),
        (errno.EFBIG, r"raise the limit of file sizes \(`ulimit -f`\) or choose another disk"),
        (errno.EACCES, "choose a folder in which you may write"),
        (errno.EROFS, "choose a folder in which you may write"),
        (errno.ENOENT, "choose a place whose folders exist or can be made"),
        (errno.ENAMETOOLONG, "choose another, shorter name"),
        (errno.EMFILE, r"raise the limit of open files \(`ulimit -n`\)"),
        (errno.EIO, "check the disk or choose another"),
        (errno.EPIPE, "choose another disk or folder for it"),
    ],
)
def test_the_remedy_for_a_file_that_cannot_be_written_fits_the_reason(number: int, remedy: str) -> None:
    reason = os.strerror(number)
    with (
        pytest.raises(RunError, match=rf"^out\.csv cannot be written: {reason}; {remedy}, and run"),
        disk_errors(Path("out.csv")),
    ):
        raise OSError(number, reason, "out.csv")


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    expected = r"^x cannot be written: torn; choose another disk or folder for it, and run it again$"
    with pytest.raises(RunError, match=expected), disk_errors(Path("x"), LookupError):
        raise LookupError("torn")


def test_folders_above_a_new_file_are_made(tmp_path: Path) -> None:
    write_output(tmp_path / "a" / "b" / "c.txt", put)
    assert (tmp_path / "a" / "b" / "c.txt").is_file()


def test_a_file_in_the_way_and_a_folder_are_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file is a file, not a folder"):
        check_output(tmp_path / "file" / "out.csv")
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        check_output(tmp_path)
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(ConfigError, match="file is a file, not a folder"):
        make_folder(tmp_path / "file" / "below")


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, RunError), match=r"/proc/recloop.*(can be|cannot be) written"):
        make_folder(Path("/proc/recloop"))
