import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recloop.agents.agent import Record, Tools
from recloop.atomic import write_text, write_whole
from recloop.errors import RunError
from recloop.simulators.batch.parts import PartWriter, next_number, parts_of, scan
from recloop.simulators.batch.records import belongs, finished_keys, read_records, totals
from recloop.simulators.batch.runner import run_batch

STATUS = st.sampled_from(["ok", "invalid", "failed"])


def record(number: int, status: str = "ok", **rest) -> Record:
    return Record(f"user:{number}", "toy", status, "{}" if status == "ok" else "", **rest)


def write(folder, rows, shard=0, **options) -> None:
    writer = PartWriter(folder, shard, **options)
    for number, status in rows:
        writer.add(record(number, status), number)
    writer.flush()


def run(toy, folder):
    tools = Tools(toy.ToyChat(), toy.NoMemory())
    return run_batch(toy.ToyAgent(60), toy.world(), lambda _: tools, folder, seed=3)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def test_a_torn_part_is_set_aside_and_its_tasks_are_redone(toy, tmp_path):
    run(toy, tmp_path)
    whole = read_records(tmp_path)
    cut(parts_of(tmp_path)[-1].path)
    again = run(toy, tmp_path)
    assert again.torn == ("part-0-1.parquet",)
    assert "torn part" in str(again)
    assert (tmp_path / "parts" / "torn" / "part-0-1.parquet").exists()
    assert again.resumed == 0
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), read_records(tmp_path).drop(columns="seconds"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all, but long enough to be looked at"])
def test_a_file_that_is_no_parquet_is_torn(tmp_path, content):
    write(tmp_path, [(1, "ok")])
    (tmp_path / "parts" / "part-0-7.parquet").write_bytes(content)
    torn: list[str] = []
    assert finished_keys(tmp_path, torn=torn) == {"user:1"}
    assert torn == ["part-0-7.parquet"]
    assert next_number(tmp_path) == 8


def test_a_scrambled_payload_is_found_when_it_is_read(tmp_path):
    writer = PartWriter(tmp_path, 0)
    writer.add(Record("user:1", "toy", "ok", '{"text":"' + "abcdefgh" * 50 + '"}'), 0)
    writer.flush()
    path = parts_of(tmp_path)[0].path
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    bytes_ = bytearray(path.read_bytes())
    for at in range(column.dictionary_page_offset + 30, column.dictionary_page_offset + 45):
        bytes_[at] ^= 0xFF
    path.write_bytes(bytes_)
    torn: list[str] = []
    assert finished_keys(tmp_path, torn=torn) == {"user:1"}
    assert torn == []
    with pytest.raises(RunError, match=r"part-0-1.parquet is torn .* move it to"):
        read_records(tmp_path)


def test_a_parquet_file_of_another_kind_is_refused_not_thrown_away(tmp_path):
    write(tmp_path, [(1, "ok")])
    stranger = tmp_path / "parts" / "part-0-9.parquet"
    pq.write_table(pa.table({"key": ["a"], "status": ["ok"]}), stranger)
    with pytest.raises(RunError, match=r"part-0-9.parquet: not a part of this version"):
        finished_keys(tmp_path, torn=[])
    assert stranger.exists()


def test_the_last_record_of_a_key_counts(tmp_path):
    write(tmp_path, [(1, "failed"), (2, "failed")], shard=1)
    write(tmp_path, [(1, "ok")], shard=0)
    assert read_records(tmp_path)["status"].tolist() == ["ok", "failed"]
    assert finished_keys(tmp_path) == {"user:1", "user:2"}
    assert finished_keys(tmp_path, retry_failed=True) == {"user:1"}
    assert totals(tmp_path).failed == 1


def test_an_empty_run_has_no_records_but_all_columns(tmp_path):
    assert read_records(tmp_path).columns.tolist()[:4] == ["key", "agent", "status", "payload"]
    assert finished_keys(tmp_path) == set()
    assert totals(tmp_path).tasks == 0


def test_small_parts_are_merged_and_nothing_changes(tmp_path):
    writer = PartWriter(tmp_path, 0, rows=50, small=8)
    for number in range(100):
        writer.add(record(number), number)
        writer.flush()
    assert len(parts_of(tmp_path)) <= 2 + 8
    assert read_records(tmp_path)["key"].tolist() == [f"user:{n}" for n in range(100)]


def test_parts_merged_while_they_are_read_are_not_missed(tmp_path):
    for number in range(4):
        write(tmp_path, [(number, "ok")])
    parts = [part.path for part in parts_of(tmp_path)]
    reading = scan(tmp_path, ["key"])
    keys = next(reading)["key"].to_pylist()
    whole = pa.concat_tables([pq.read_table(path) for path in parts])
    pq.write_table(whole, parts[-1])
    for path in parts[:-1]:
        path.unlink()
    for table in reading:
        keys += table["key"].to_pylist()
    assert set(keys) == {f"user:{number}" for number in range(4)}


def test_a_part_that_may_not_be_read_is_not_taken_for_torn(tmp_path):
    write(tmp_path, [(1, "ok")])
    unreachable = tmp_path / "parts" / "part-0-5.parquet"
    unreachable.symlink_to(unreachable)
    with pytest.raises(RunError, match="cannot be read"):
        finished_keys(tmp_path, torn=[])
    assert unreachable.is_symlink()


def test_a_merge_that_was_killed_half_way_leaves_no_record_twice(tmp_path):
    write(tmp_path, [(1, "ok"), (2, "failed")])
    first = parts_of(tmp_path)[0].path
    (first.parent / "part-0-2.parquet").write_bytes(first.read_bytes())
    assert read_records(tmp_path)["key"].tolist() == ["user:1", "user:2"]
    assert totals(tmp_path).tasks == 2


def test_a_cost_is_unknown_as_soon_as_one_call_has_no_price(tmp_path):
    writer = PartWriter(tmp_path, 0)
    writer.add(record(1, calls=1, cost=0.5), 0)
    writer.add(record(2, calls=0, cost=None), 1)
    writer.flush()
    assert totals(tmp_path).cost == 0.5
    writer.add(record(3, calls=1, cost=None), 2)
    writer.flush()
    assert totals(tmp_path).cost is None


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "manifest.json"
    write_text(path, "old")

    def half(temporary) -> None:
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_records_stay_buffered_when_the_disk_refuses(tmp_path):
    writer = PartWriter(tmp_path, 0)
    writer.add(record(1), 0)

    def refuse() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        writer.flush(first=refuse)
    writer.flush()
    assert finished_keys(tmp_path) == {"user:1"}


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=30), st.integers(1, 9))
def test_every_key_belongs_to_exactly_one_shard(keys, shards):
    for key in keys:
        assert sum(belongs(key, (index, shards)) for index in range(shards)) == 1


def test_the_shard_of_a_key_is_the_same_on_every_machine():
    assert [next(i for i in range(4) if belongs(f"user:{n}", (i, 4))) for n in range(6)] == [0, 2, 0, 2, 1, 3]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 9), STATUS))), max_size=6))
def test_reading_is_writing_the_last_row_of_each_key(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("run")
    last: dict[int, str] = {}
    for shard, rows in parts:
        rows = list(dict(rows).items())
        write(folder, rows, shard=shard)
        last.update(rows)
    assert dict(zip(read_records(folder)["key"], read_records(folder)["status"], strict=True)) == {
        f"user:{number}": last[number] for number in sorted(last)
    }
    open_ = {f"user:{number}" for number, status in last.items() if status == "failed"}
    assert finished_keys(folder, retry_failed=True) == {f"user:{number}" for number in last} - open_
