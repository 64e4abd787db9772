"""`refine --steps denoise`, `diff` and `undo`: what was done, why, how sure; and back again, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recloop
from recloop.errors import DataError, RunError
from recloop.simulators.refining.diff import diff
from recloop.simulators.refining.refine import Refined, refine
from recloop.simulators.refining.undo import undo

from tests.recsys.denoising.worlds import EACH, items, strangers
from tests.simulators.refining.logs import FORMS, log_at

DENOISE = "steps=[{denoise: {threshold: 0.8, action: %s}}]"
ANY = "steps=[{denoise: {threshold: 0.3, action: %s, guards: {cold: 0, recent: 0, budget: 0.5}}}]"


def toys_at(folder: Path) -> tuple[Path, list[str]]:
    """A log of strangers, in no order of users, with a column that nobody knows; and its settings."""
    data, _ = strangers()
    frame = pd.DataFrame(
        {
            "user_id": data.users["user_id"].to_numpy()[data.user],
            "item_id": data.items["item_id"].to_numpy()[data.item],
            "timestamp": data.timestamp + 1_600_000_000,
            "note": [f'said "{at}", left' for at in range(len(data))],
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    frame.sample(frac=1, random_state=1).to_csv(folder / "log.csv", index=False)
    items().to_csv(folder / "items.csv", index=False)
    return folder / "log.csv", [f"data.items={folder / 'items.csv'}"]


def denoised(path: Path, settings: list[str], out: str) -> Refined:
    done = refine(path, path.with_name(out), settings=settings)
    assert done.complete, done.stopped
    return done


def test_strangers_go_and_diff_says_why_and_how_sure(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    done = denoised(path, [*settings, DENOISE % "remove"], "out.csv")
    found = diff(path, done.out)
    assert found.counts == {"removed": done.rows["removed"]}
    assert done.rows["removed"] > 10
    before = pd.read_csv(path)
    right = wrong = 0
    for user, edits in found.users.items():
        for edit in edits:
            assert (before["user_id"][edit.row], str(before["item_id"][edit.row])) == (user, edit.item)
            assert edit.sure is not None
            assert 0.8 <= edit.sure <= 1
            assert edit.why.startswith("mean likeness of words to the others 0.")
            assert edit.agent == "denoise"
            if user != "all":
                stranger = (int(edit.item) < EACH) == (int(user[1:]) % 2 == 1)
                right, wrong = right + stranger, wrong + (not stranger)
    assert right > 15
    assert wrong < 3


@pytest.mark.parametrize("name", FORMS)
def test_undo_restores_every_form_of_log_byte_for_byte(name: str, tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, name)
    before = path.read_bytes()
    done = denoised(path, [*settings, ANY % "replace"], f"out-{name}")
    assert done.rows["replaced"] > 3
    assert Path(done.out).read_bytes() != before
    path.unlink()
    undone = undo(done.out)
    assert Path(undone.path).read_bytes() == before
    assert undo(done.out) == undone


def test_a_replaced_item_stands_in_the_row_and_diff_knows_the_old_one(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    done = denoised(path, [*settings, DENOISE % "replace"], "out.csv")
    before, after = pd.read_csv(path), pd.read_csv(done.out)
    assert len(before) == len(after)
    changed = (before["item_id"] != after["item_id"]).to_numpy()
    assert changed.sum() == done.rows["replaced"] > 5
    assert (after["origin"][changed] == "replaced").all()
    rest = ["user_id", "timestamp", "note"]
    pd.testing.assert_frame_equal(before[rest], after[rest])
    edits = {edit.row: edit for user in diff(path, done.out).users.values() for edit in user}
    assert {row: (edit.was, edit.item) for row, edit in edits.items()} == {
        int(row): (str(before["item_id"][row]), str(after["item_id"][row])) for row in np.flatnonzero(changed)
    }


def test_the_size_of_the_parts_changes_no_byte(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    whole = denoised(path, [*settings, DENOISE % "replace"], "whole.csv")
    parts = denoised(path, [*settings, DENOISE % "replace", "block_mb=0.002"], "parts.csv")
    assert len(list(Path(parts.folder).glob("blocks-*/block-*"))) > 2
    assert Path(parts.out).read_bytes() == Path(whole.out).read_bytes()
    assert parts.as_json()["reports"] == whole.as_json()["reports"]


def test_a_block_without_any_edit_stands_beside_blocks_with_edits(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    few = "steps=[{denoise: {users: 2, threshold: 0.3, guards: {cold: 0, recent: 0, budget: 0.5}}}]"
    done = denoised(path, [*settings, few, "block_mb=0.002"], "out.csv")
    assert len(list(Path(done.folder).glob("blocks-*/block-*"))) > 2
    changes = pd.read_parquet(Path(done.folder) / "changes.parquet")
    assert set(changes["agent"]) == {"denoise"}
    assert len(changes["user_id"].unique()) <= 2 < done.rows["written"]


def test_a_killed_denoising_that_is_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    settings = [*settings, DENOISE % "replace", "block_mb=0.002"]
    whole = denoised(path, settings, "whole.csv")
    command = "import sys, recloop; recloop.refine(*sys.argv[1:3], settings=sys.argv[3:])"
    out = tmp_path / "killed.csv"
    process = subprocess.Popen([sys.executable, "-c", command, str(path), str(out), *settings])
    records = out.with_name("killed.csv.run")
    try:
        while not list(records.glob("states/0-denoise*/block-00001.json")) and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, "the kill came too late to test anything"
    finally:
        process.kill()
        process.wait()
    again = denoised(path, settings, "killed.csv")
    assert out.read_bytes() == Path(whole.out).read_bytes()
    assert again.rows == whole.rows
    told = [pd.read_parquet(Path(run.folder) / "changes.parquet") for run in (whole, again)]
    pd.testing.assert_frame_equal(*told)


def test_undo_spares_what_was_edited_since(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    before = path.read_bytes()
    out = Path(denoised(path, [*settings, DENOISE % "remove"], "out.csv").out)
    out.write_bytes(out.read_bytes() + b"mine,1,1600000000,note\n")
    with pytest.raises(RunError, match="was changed after it was written"):
        undo(out)
    undo(out, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == before
    with pytest.raises(RunError, match="exists already"):
        undo(out, tmp_path / "again.csv")
    assert Path(undo(out, force=True).path).read_bytes() == before
    with pytest.raises(RunError, match="keeps no log"):
        undo(path)


def test_diff_refuses_logs_of_another_run(tmp_path: Path) -> None:
    path, settings = toys_at(tmp_path)
    out = Path(denoised(path, [*settings, DENOISE % "weight"], "out.csv").out)
    assert diff(path, out).counts["reweighted"] > 5
    with pytest.raises(DataError, match="is not the log that was read"):
        diff(out, out)


def test_the_verbs_have_their_python_functions_and_json(tmp_path: Path) -> None:
    assert recloop.diff is diff
    assert recloop.undo is undo
    path, settings = toys_at(tmp_path)
    out = denoised(path, [*settings, DENOISE % "remove"], "out.csv").out
    told = json.loads(json.dumps(diff(path, out).as_json(), default=int))
    assert told["counts"]["removed"] == sum(len(edits) for edits in told["users"].values())
