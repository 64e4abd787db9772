"""What `refine`, `undo` and `diff` do to the user's files: nothing is lost, replaced or misread unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError, RunError
from recloop.simulators.refining import refine as refine_module
from recloop.simulators.refining import refined_log
from recloop.simulators.refining.diff import diff
from recloop.simulators.refining.refine import Refined, refine
from recloop.simulators.refining.undo import undo

from tests.full_disk import full_disk
from tests.simulators.refining.test_denoise import DENOISE, toys_at

STEPS = DENOISE % "remove"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return toys_at(tmp_path)[0]


def refined(log: Path, out: Path | str, *settings: str, overwrite: bool = False) -> Refined:
    done = refine(log, out, settings=[f"data.items={log.parent / 'items.csv'}", STEPS, *settings], overwrite=overwrite)
    assert done.complete, done.stopped
    return done


def test_a_foreign_file_is_not_replaced_unasked(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious\n")
    with pytest.raises(ConfigError, match=r"out\.csv exists and was not written by this refinement.*--overwrite"):
        refined(log, out)
    assert out.read_text() == "precious\n"
    assert not out.with_name("out.csv.run").exists(), "refused before any work"
    assert refined(log, out, overwrite=True).rows["written"] > 10


def test_a_refined_log_that_was_edited_is_not_replaced_unasked(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    refined(log, out)
    written = out.read_bytes()
    refined(log, out)  # its own output is replaced
    out.write_bytes(written + b"mine,1,1600000000,note\n")
    with pytest.raises(ConfigError, match="was changed after it was written"):
        refined(log, out)
    assert out.read_bytes().endswith(b"note\n")
    refined(log, out, overwrite=True)
    assert out.read_bytes() == written


def test_the_only_copy_of_a_log_is_never_replaced_by_that_of_another(log: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out.csv", log.read_bytes()
    refined(log, out)
    log.unlink()
    other = tmp_path / "other.csv"
    other.write_bytes(b"".join(before.splitlines(keepends=True)[:-30]))
    with pytest.raises(ConfigError, match=r"holds the refinement of another log, .*log\.csv"):
        refined(other, out)
    out.unlink()
    with pytest.raises(ConfigError, match="holds the refinement of another log"):
        refined(other, out)
    refined(other, out, overwrite=True)
    copies = list(out.with_name("out.csv.run").glob("source-*.zst"))
    assert len(copies) == 2, "the copy of the log that is gone stays"
    assert Path(undo(out, tmp_path / "back.csv").path).read_bytes() == other.read_bytes()


def test_the_log_itself_is_seen_through_any_path(log: Path, tmp_path: Path) -> None:
    before = log.read_bytes()
    (tmp_path / "link.csv").symlink_to(log)
    os.link(log, tmp_path / "hard.csv")
    for out in (tmp_path / "sub" / ".." / "log.csv", tmp_path / "link.csv", tmp_path / "hard.csv"):
        with pytest.raises(RunError, match="is the log itself"):
            refined(log, out, overwrite=True)
    assert log.read_bytes() == before


def test_a_log_that_grows_during_a_refinement_is_undone_to_what_was_read(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = log.read_bytes(), refine_module.write_refined

    def grows(*given: object) -> dict[str, int]:
        with log.open("ab") as file:
            file.write(b"late,1,1700000000,note\n")
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(refine_module, "write_refined", grows)
    done = refined(log, tmp_path / "out.csv")
    assert any("has grown by 23 bytes since it was read" in warning for warning in done.warnings)
    assert Path(undo(done.out, tmp_path / "back.csv").path).read_bytes() == before
    with pytest.raises(DataError, match="is not the log that was read"):
        diff(log, done.out)
    monkeypatch.undo()
    again = refined(log, tmp_path / "out.csv")
    assert again.rows["read"] == done.rows["read"] + 1
    assert again.warnings == ()


def test_a_log_that_changes_while_it_is_read_is_refused(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recloop.simulators.refining import blocks

    whole = blocks.chunks

    def growing(of: object) -> Iterator[object]:
        with log.open("ab") as file:
            file.write(b"late,1,1700000000,note\n")
        yield from whole(of)  # type: ignore[arg-type]

    monkeypatch.setattr(blocks, "chunks", growing)
    with pytest.raises(DataError, match="changed while it was read"):
        refined(log, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_undone_log_can_be_refined_again_in_its_place(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    refined(log, out)
    written = out.read_bytes()
    undo(out)
    assert out.read_bytes() == log.read_bytes()
    refined(log, out)
    assert out.read_bytes() == written


def test_damaged_copies_and_tables_are_named_in_one_line(log: Path, tmp_path: Path) -> None:
    done = refined(log, tmp_path / "out.csv")
    folder = Path(done.folder)
    (folder / "changes.parquet").write_bytes(b"garbage")
    with pytest.raises(RunError, match=r"changes\.parquet is missing or damaged.*writes it again"):
        diff(log, done.out)
    [copy] = folder.glob("source-*.zst")
    for content in (b"garbage", copy.read_bytes()[:-100], b""):
        copy.write_bytes(content)
        with pytest.raises(RunError, match=r"source-.*\.zst is missing or damaged.*log\.csv"):
            undo(done.out, tmp_path / "back.csv")
    copy.unlink()
    with pytest.raises(RunError, match="is missing or damaged"):
        undo(done.out, tmp_path / "back.csv")
    assert not list(tmp_path.glob("*back*")), "nothing half restored is left"
    (folder / "undo.json").write_text("{")
    with pytest.raises(RunError, match=r"undo\.json is damaged"):
        undo(done.out)


def test_damaged_blocks_are_cut_again_and_a_damaged_state_is_named(log: Path, tmp_path: Path) -> None:
    done = refined(log, tmp_path / "out.csv")
    written, folder = Path(done.out).read_bytes(), Path(done.folder)
    for pattern in ("blocks-*/blocks.json", "blocks-*/items.parquet", "blocks-*/block-00000.parquet"):
        [path] = folder.glob(pattern)
        path.write_bytes(b"garbage")
        refined(log, tmp_path / "out.csv")
        assert Path(done.out).read_bytes() == written
    for pattern in ("states/*/block-00000.json", "states/*/block-00000.parquet"):
        [path] = folder.glob(pattern)
        before = path.read_bytes()
        path.write_bytes(b"garbage")
        with pytest.raises(RunError, match=rf"{path.name} is damaged .*delete .*{path.parent.name}"):
            refined(log, tmp_path / "out.csv")
        path.write_bytes(before)


def test_places_that_cannot_be_written_are_refused_before_any_work(log: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "is-a-folder.csv").mkdir()
    (tmp_path / "taken.csv.run").write_text("")
    (tmp_path / "foreign.csv.run").mkdir()
    (tmp_path / "foreign.csv.run" / "thesis.tex").write_text("")
    for out, message in (
        ("file/out.csv", "file is a file, not a folder"),
        ("is-a-folder.csv", "is a folder; name a file"),
        ("taken.csv", "where the run folder of taken.csv must be"),
        ("foreign.csv", "is a folder that `recloop refine` did not make"),
    ):
        with pytest.raises(ConfigError, match=message):
            refined(log, tmp_path / out, overwrite=True)


def test_a_full_disk_is_one_line_and_leaves_no_cut_log(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / "out.csv", refined_log.write_merged
    refined(log, out)
    written = out.read_bytes()

    def half(*given: object) -> int:
        with full_disk(after=len(written) // 2):
            return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(refined_log, "write_merged", half)
    with pytest.raises(RunError, match="cannot be written: File too large"):
        refined(log, out, "steps.0.denoise.threshold=0.7")
    assert out.read_bytes() == written
    assert not list(tmp_path.glob(".out*"))


def test_diff_of_a_log_refined_twice_names_the_second_refinement_alone(log: Path, tmp_path: Path) -> None:
    first = refined(log, tmp_path / "first.csv", DENOISE % "weight")
    settings = [f"data.items={log.parent / 'items.csv'}", DENOISE % "weight", "steps.0.denoise.threshold=0.99"]
    second = refine(first.out, tmp_path / "second.csv", settings=settings)
    changes = diff(first.out, second.out).counts
    raw = pd.read_csv(log)
    assert first.rows["reweighted"] > 5
    assert changes.get("reweighted", 0) < first.rows["reweighted"], "what the first refinement did is no change"
    assert second.rows["raw"] + second.rows.get("reweighted", 0) == second.rows["read"] == len(raw)


def test_ids_that_are_large_whole_numbers_stand_in_diff_as_they_are(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    frame = pd.read_csv(path)
    frame["item_id"] += 2**53 + 1
    frame.to_parquet(tmp_path / "log.parquet", index=False)
    items = pd.read_csv(tmp_path / "items.csv")
    items.assign(item_id=items["item_id"] + 2**53 + 1).to_csv(tmp_path / "items.csv", index=False)
    done = refine(tmp_path / "log.parquet", tmp_path / "out.parquet", settings=[*settings, DENOISE % "replace"])
    edits = [edit for user in diff(tmp_path / "log.parquet", done.out).users.values() for edit in user]
    before = frame["item_id"]
    assert any(edit.was is not None for edit in edits)
    assert all(edit.was == before[edit.row] for edit in edits if edit.was is not None)
