"""`refine`: every form of log comes back in its form, real rows word for word, whatever the size of its parts."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import recloop
from recloop.errors import ConfigError, DataError
from recloop.recsys.data.atomic import read_atomic
from recloop.recsys.data.tables import read_table
from recloop.simulators.refining.config import RefineConfig, read_config
from recloop.simulators.refining.refine import Refined, refine

from tests.simulators.refining.logs import FORMS, log_at, rows_of, shop

FEW = [
    "steps=[{generate: {users: 12, slate_size: 8}}, {discriminate: {users: 6, calibration_users: 10, "
    "cut: {untested: keep, value: 0.2}}}]"
]
ALL = [
    "steps=[{generate: {slate_size: 8, fuse: {quota: 2}}}, {generate: {mode: cold_item, items: 15, slate_size: 6}}, "
    "{discriminate: {calibration_users: 40, noise: {action: remove, quantile: 0.2}, fuse: {share: 0.1, weight: "
    "confidence}}}, {generate: {mode: pairs, users: 9, slate_size: 5}}]"
]


def without_haste(names: Sequence[str], fast: set[str]) -> list[Any]:
    """Every name, those that are not in `fast` marked slow: each is a refine or two of some seconds."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


def refined(path: Path, settings: list[str], out: str, **options: Any) -> Refined:
    done = refine(path, path.with_name(out), settings=settings, **options)
    assert done.complete, done.stopped
    return done


@pytest.mark.parametrize("name", without_haste(FORMS, {"log.csv", "users.inter"}))
def test_a_log_comes_back_in_its_own_form_with_every_real_row_as_it_was(name: str, tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, name)
    out = path.with_name(f"out-{name}")
    done = refined(path, [*settings, *FEW, "steps.1.discriminate.noise={action: keep}"], out.name)
    assert done.rows["generated"] > 5
    assert done.rows["read"] == len(shop())
    if name == "log.parquet":
        before, after = pd.read_parquet(path), pd.read_parquet(out)
        pd.testing.assert_frame_equal(after[after["origin"] == "raw"][list(before)].reset_index(drop=True), before)
        return
    opened = gzip.open if name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as one, opened(out, "rt", encoding="utf-8") as other:
        before_lines, after_lines = one.read().splitlines(), other.read().splitlines()
    if name == "users.inter":
        assert len(before_lines) == len(after_lines)
        for old, new in zip(before_lines, after_lines, strict=True):
            (user, past, last), (other_user, longer, same_last) = old.split("\t"), new.split("\t")
            assert (user, last) == (other_user, same_last)
            rest = iter(longer.split())
            assert all(item in rest for item in past.split())
        assert len(read_atomic(out)) == len(shop()) + done.rows["generated"]
        return
    added = ["1.0", "raw", "", "", ""]
    separator = {"rows.inter": "\t", "log.tsv": "\t", "ratings.dat": "::"}.get(name, ",")
    if name == "log.jsonl":
        assert [line for line in after_lines if '"origin"' not in line] == before_lines
        new = [json.loads(line) for line in after_lines if '"origin"' in line]
        assert {row["origin"] for row in new} == {"generated"}
    else:
        start = 0 if name == "ratings.dat" else 1
        told = [separator.join([line, *added]) for line in before_lines[start:]]
        new_lines = [line for line in after_lines[start:] if line not in set(told)]
        assert [line for line in after_lines[start:] if line in set(told)] == told
        assert len(new_lines) == done.rows["generated"]
        assert all("generated" in line for line in new_lines)


@pytest.mark.parametrize("name", without_haste(["log.csv", "log.parquet", "users.inter", "log.jsonl"], {"log.csv"}))
def test_the_size_of_the_parts_changes_no_byte(name: str, tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, name)
    whole = refined(path, [*settings, *ALL], f"whole-{name}")
    parts = refined(path, [*settings, *ALL, "block_mb=0.005"], f"parts-{name}")
    assert len(list(Path(parts.folder).glob("blocks-*/block-*"))) > 2
    assert len(list(Path(whole.folder).glob("blocks-*/block-*"))) == 1
    assert Path(parts.out).read_bytes() == Path(whole.out).read_bytes()
    assert parts.rows == whole.rows
    assert parts.as_json()["reports"] == whole.as_json()["reports"]
    assert whole.rows["removed"] > 0
    assert whole.rows["pairs"] == 9
    assert 0 < whole.rows["generated"] <= 0.1 * len(shop())


def test_a_second_run_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    first = refined(path, [*settings, *FEW], "out.csv")
    content = Path(first.out).read_bytes()
    Path(first.out).unlink()
    again = refined(path, [*settings, *FEW], "out.csv")
    assert Path(again.out).read_bytes() == content
    assert sum(summary.paid for summary in again.summaries.values()) == 0
    assert [s.tasks for s in again.summaries.values()] == [s.tasks for s in first.summaries.values()]
    assert again.as_json()["reports"] == first.as_json()["reports"]


def test_another_cut_folds_anew_and_asks_nothing(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    first = refined(path, [*settings, *FEW], "out.csv")
    harder = refined(path, [*settings, *FEW, "steps.1.discriminate.cut.value=0.9"], "out.csv")
    assert harder.rows["generated"] < first.rows["generated"]
    assert sum(summary.paid for summary in harder.summaries.values()) == 0


@pytest.mark.slow
def test_removed_rows_are_left_out_and_kept_with_their_reason(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    done = refined(path, [*settings, *ALL], "out.csv")
    changed = pd.read_parquet(Path(done.folder) / "changes.parquet")
    gone = changed[changed["origin"] == "removed"]
    assert len(gone) == done.rows["removed"]
    out = pd.read_csv(done.out)
    assert len(out) == done.rows["written"] == len(shop()) - len(gone) + done.rows["generated"]
    lost = set(zip(gone["user_id"], gone["item_id"], strict=True))
    assert not lost & set(zip(out["user_id"], out["item_id"], strict=True))
    # With them the log can be made whole again.
    before = rows_of(shop())
    assert lost <= set(zip(before["user_id"], before["item_id"], strict=True))
    assert (gone["row"] >= 0).all()
    assert (changed.loc[changed["origin"] == "generated", "row"] == -1).all()


@pytest.mark.slow
def test_a_refined_log_can_be_read_and_refined_again(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    once = refined(path, [*settings, *FEW], "once.csv")
    data = read_table(once.out)
    assert (data.interactions["origin"] == "generated").sum() == once.rows["generated"]
    twice = refined(Path(once.out), [*settings, *FEW, "seed=1"], "twice.csv")
    assert list(pd.read_csv(twice.out).columns) == list(pd.read_csv(once.out).columns)
    assert twice.rows["generated"] > 0


def test_columns_that_nobody_knows_come_through_and_new_rows_leave_them_empty(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    frame = pd.read_csv(path, dtype=str)
    frame["note"] = [f'said "{n}", then left' for n in range(len(frame))]
    frame.to_csv(path, index=False)
    done = refined(path, [*settings, *FEW], "out.csv")
    out = pd.read_csv(done.out, dtype=str, keep_default_na=False)
    assert out.loc[out["origin"] != "generated", "note"].tolist() == frame["note"].tolist()
    assert (out.loc[out["origin"] == "generated", "note"] == "").all()


@pytest.mark.slow
def test_without_provenance_the_file_has_the_columns_it_had(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    done = refined(path, [*settings, *FEW, "provenance=false"], "out.csv")
    assert list(pd.read_csv(done.out)) == list(pd.read_csv(path))
    assert len(pd.read_csv(done.out)) == len(shop()) + done.rows["generated"]


@pytest.mark.slow
def test_a_sample_is_of_whole_users_and_small_enough(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    done = refined(path, [*settings, *FEW, "sample_rows=100"], "out.csv")
    assert 0 < done.reports["1-discriminate"]["calibration"]["users"] < 8
    parts = refined(path, [*settings, *FEW, "sample_rows=100", "block_mb=0.004"], "parts.csv")
    assert Path(parts.out).read_bytes() == Path(done.out).read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    with pytest.raises(ConfigError, match="has the form of the log read"):
        refine(path, tmp_path / "out.parquet", settings=settings)
    lines = path.read_text().splitlines()
    lines[7] = re.sub(r"\d+$", "yesterday-ish", lines[7])
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"'timestamp': row 7: 'yesterday-ish' is no finite number"):
        refine(path, tmp_path / "out.csv", settings=[*settings, "data.time=s"])
    lines[7] = "," + lines[7].partition(",")[2]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"row 7, column 'user_id' is empty"):
        refine(path, tmp_path / "out.csv", settings=settings)
    with pytest.raises(DataError, match="no such file"):
        refine(tmp_path / "none.csv", tmp_path / "out.csv")


def test_steps_are_named_and_take_the_settings_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "refine.yaml"
    file.write_text("steps: [{generate: {users: 3}}, {discriminate: {users: 2}}]\ndata: {items: items.csv}\n")
    found = read_config(file, ["discriminate"], [])
    assert found.steps == ({"discriminate": {"users": 2}},)
    assert found.data.items == tmp_path / "items.csv"
    assert read_config(None, None, []) == RefineConfig()
    assert read_config(None, ["generate"], []).steps == ({"generate": {}},)
    assert read_config(None, None, ["steps.1.discriminate.users=2"]).steps[1] == {"discriminate": {"users": 2}}
    with pytest.raises(ConfigError, match="'setwise' is not a step that edits a log"):
        read_config(None, ["setwise"], [])
    with pytest.raises(ConfigError, match="did you mean 'block_mb'"):
        read_config(None, None, ["blockmb=3"])


def test_the_verb_has_its_python_function() -> None:
    assert recloop.refine is refine
