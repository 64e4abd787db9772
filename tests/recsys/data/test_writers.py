"""What is written can be restored exactly, and a log goes out in the form it came in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import Dataset, read_atomic, read_movielens, read_table, read_written, write, write_log

FORMATS = ["parquet", "csv", "atomic"]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\x1f"), max_size=8) | st.sampled_from(
    ["\\N", "\\\\N", '"', 'a "b"', "a\tb", "a\nb", "a\r\nb", "\r", ",", "nan", "None", "NA", " ", "'", "1"]
)


def refined(texts: list[str], confidences: list[float]) -> Dataset:
    """A dataset with provenance, pairs and vectors, whose texts are the given ones."""
    n = len(texts)
    frame = pd.DataFrame({"user_id": [f"u{i % 2}" for i in range(n)], "item_id": [f"i{i}" for i in range(n)]})
    frame["timestamp"] = np.arange(n) + 2_000_000_000
    frame["value"] = np.float32(0.1) * np.arange(n, dtype=np.float32)
    frame["weight"] = np.float32(1 / 3)
    frame["origin"] = ["raw", "generated"] * (n // 2) + ["raw"] * (n % 2)
    frame["agent"] = [None if i % 2 else text for i, text in enumerate(texts)]
    frame["confidence"] = np.array(confidences[:n] + [np.nan] * n, np.float32)[:n]
    items = pd.DataFrame({"item_id": frame["item_id"], "title": texts, "year": range(n), "new": [True] * n})
    pairs = pd.DataFrame(
        {
            "user": np.zeros(1, np.int32),
            "preferred": np.zeros(1, np.int32),
            "other": np.array([n - 1], np.int32),
            "weight": np.array([0.1], np.float32),
            "agent": ["a"],
            "record": ["17"],
        }
    )
    vectors = np.linspace(0, 1, n * 2, dtype=np.float32).reshape(n, 2)
    return Dataset.of("my toys", frame, items).with_(pairs=pairs, item_vectors=vectors)


@pytest.mark.parametrize("layout", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=6), confidences=st.lists(st.floats(0, 1, width=32), max_size=6))
def test_any_texts_and_numbers_come_back_exactly(
    tmp_path: Path, layout: str, texts: list[str], confidences: list[float]
) -> None:
    data = refined(texts, confidences)
    back = read_written(write(data, tmp_path / "d", layout, overwrite=True))  # type: ignore[arg-type]
    assert back.fingerprint == data.fingerprint
    assert back.name == "my toys"
    assert back.items["title"].tolist() == texts
    assert back.interactions.dtypes.astype(str).tolist() == data.interactions.dtypes.astype(str).tolist()
    assert back.interactions["agent"].isna().tolist() == data.interactions["agent"].isna().tolist()
    assert np.array_equal(back.value, data.value)


@pytest.mark.parametrize("layout", FORMATS)
def test_real_data_come_back_exactly(shared_data: Path, tmp_path: Path, layout: str) -> None:
    data = read_movielens(shared_data / "ml-latest-small" / "ml-latest-small.zip")
    back = read_written(write(data, tmp_path / "d", layout))  # type: ignore[arg-type]
    assert back.fingerprint == data.fingerprint
    pd.testing.assert_frame_equal(back.interactions, data.interactions)
    pd.testing.assert_frame_equal(back.items, data.items)


def test_atomic_files_written_here_are_atomic_files(shared_data: Path, tmp_path: Path) -> None:
    folder = write(read_movielens(shared_data / "ml-100k"), tmp_path / "out", "atomic")
    head = (folder / "ml-100k.inter").read_text().splitlines()[0]
    assert head == "user_id:token\titem_id:token\ttimestamp:float\trating:float\tweight:float"
    again = read_atomic(folder, quoted=True)
    assert (again.n_users, again.n_items, len(again)) == (943, 1682, 100000)


def test_a_folder_that_is_there_is_kept_unless_it_is_ones_own_and_may_go(tmp_path: Path) -> None:
    data = refined(["a", "b"], [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"mine exists already; choose a new folder"):
            write(data, tmp_path / "mine", overwrite=overwrite)
    write(data, tmp_path / "d")
    with pytest.raises(DataError, match="--overwrite"):
        write(data, tmp_path / "d")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["d", "mine"]


def test_a_written_folder_that_was_changed_torn_or_never_written_is_refused(tmp_path: Path) -> None:
    folder = write(refined(["a", "b"], []), tmp_path / "d", "csv")
    items = folder / "items.csv"
    items.write_text(items.read_text().replace(",a,", ",c,"))
    with pytest.raises(DataError, match="holds other data"):
        read_written(folder)
    assert read_written(folder, check=False).items["title"].tolist() == ["c", "b"]
    items.unlink()
    with pytest.raises(DataError, match=r"items.csv is missing"):
        read_written(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset.json is damaged"):
        read_written(folder)
    with pytest.raises(DataError, match=r"no dataset.json"):
        read_written(tmp_path)


def test_a_column_that_no_file_can_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    data = refined(["a", "b"], [])
    lists = data.with_(items=data.items.assign(tags=[["x"], ["y"]]))
    with pytest.raises(DataError, match=r"items: column 'tags' .* convert or drop it"):
        write(lists, tmp_path / "d")
    with pytest.raises(ConfigError, match="write one of parquet, csv, atomic"):
        write(data, tmp_path / "d", "xlsx")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


COLUMNS: list[dict[str, str | int]] = [
    {"item_id": "sku", "user_id": "customer", "timestamp": "when", "value": "stars"},
    {"user_id": 1, "item_id": 0, "value": 2, "timestamp": 3},
]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("time", ["s", "ms", "iso"])
@pytest.mark.parametrize("name", ["out.csv", "out.tsv"])
def test_a_log_goes_out_in_the_columns_it_came_in(
    tmp_path: Path, columns: dict[str, str | int], time: str, name: str
) -> None:
    log = tmp_path / f"in{Path(name).suffix}"
    rows = [["s,1", "c1", 4.5, "2020-01-01T00:00:00Z"], ["s2", "c1", 0.1, "2020-01-02T00:00:00Z"]]
    frame = pd.DataFrame(rows, columns=["sku", "customer", "stars", "when"])
    if isinstance(columns["user_id"], str):
        frame = frame[[str(c) for c in columns.values()]]
    frame.to_csv(
        log, index=False, header=isinstance(columns["user_id"], str), sep="\t" if name.endswith("tsv") else ","
    )
    data = read_table(log, columns)
    out = write_log(data, tmp_path / name, columns, time=time)
    assert read_table(out, columns, name="in").fingerprint == data.fingerprint
    if time == "iso":
        assert out.read_text() == log.read_text()


def test_a_refined_log_says_where_its_rows_come_from_and_reads_back(tmp_path: Path) -> None:
    data = refined(["a", "b", "c"], [0.25])
    for name in ("out.csv", "out.inter", "out.parquet"):
        out = write_log(data, tmp_path / name)
        again = read_atomic(out) if name == "out.inter" else read_table(out)
        assert again.interactions["origin"].tolist() == data.interactions["origin"].tolist()
        assert again.interactions["confidence"].isna().tolist() == data.interactions["confidence"].isna().tolist()
        assert again.weight.tolist() == data.weight.tolist()
    bare = write_log(data, tmp_path / "bare.csv", provenance=False).read_text().splitlines()
    assert bare[0] == "user_id,item_id,value,timestamp"


def test_the_sequential_form_goes_out_as_it_came_in(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "cds-100" / "dense" / "CDs-100-user-dense.test.inter"
    names = {"user_id": "user_id", "item_id_list": "item_id_list", "item_id": "item_id"}
    out = write_log(read_atomic(source), tmp_path / "a.inter", names)
    assert out.read_text().split() == source.read_text().split()


def test_a_column_the_data_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'price' is no column of 'my toys'"):
        write_log(refined(["a"], []), tmp_path / "a.csv", {"user_id": "u", "price": "p"})
