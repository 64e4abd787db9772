"""Tables with a column map, and every way a time can be written."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recloop.errors import ConfigError, DataError
from recloop.recsys.data import read_table
from recloop.recsys.data.delimited import Format, arrow_input
from recloop.recsys.data.files import File
from recloop.recsys.data.times import from_numbers, unit_of

MAP = {"user_id": "who", "item_id": "what", "value": "stars", "timestamp": "when"}


def table(folder: Path, *rows: str, head: str = "who,what,stars,when", name: str = "log.csv") -> Path:
    (folder / name).write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return folder / name


def test_ids_of_a_text_file_stay_as_written(tmp_path: Path) -> None:
    data = read_table(table(tmp_path, "007,x,5,1", "7,NA,4,2"), MAP)
    assert data.users["user_id"].tolist() == ["007", "7"]
    assert data.items["item_id"].tolist() == ["x", "NA"]


@pytest.mark.parametrize(
    ("when", "time"),
    [
        ("1577934245", "auto"),
        ("1577934245000", "auto"),
        ("1577934245000000", "auto"),
        ("1577934245.75", "auto"),
        ("2020-01-02T03:04:05Z", "auto"),
        ("2020-01-02 03:04:05", "auto"),
        ("2020-01-02T04:04:05+01:00", "iso"),
        ("02/01/2020 03-04-05", "%d/%m/%Y %H-%M-%S"),
    ],
)
def test_one_moment_reads_alike_however_it_is_written(tmp_path: Path, when: str, time: str) -> None:
    assert read_table(table(tmp_path, f"u,i,5,{when}"), MAP, time=time).timestamp.tolist() == [1577934245]


def test_a_unit_that_is_stated_is_not_guessed(tmp_path: Path) -> None:
    log = table(tmp_path, "u,i,5,12000")
    assert read_table(log, MAP).timestamp.tolist() == [12000]
    assert read_table(log, MAP, time="ms").timestamp.tolist() == [12]
    with pytest.raises(ConfigError, match="time: 'minutes'; write auto, s, ms"):
        read_table(log, MAP, time="minutes")


def test_order_only_takes_the_rows_as_they_stand(tmp_path: Path) -> None:
    data = read_table(table(tmp_path, "u,b,5,9", "u,a,5,1"), MAP, time="order")
    assert data.timestamp.tolist() == [0, 1]
    assert data.items["item_id"].tolist() == ["b", "a"]


@given(st.lists(st.integers(1_000_000_000_000, 1_000_000_003_000), min_size=1, max_size=30))
def test_milliseconds_within_one_second_keep_their_order(moments: list[int]) -> None:
    whole, order = from_numbers(np.array(moments))
    rows = np.arange(len(moments)) if order is None else order
    by_second = rows[np.argsort(whole[rows], kind="stable")]
    assert by_second.tolist() == sorted(range(len(moments)), key=lambda row: moments[row])


def test_units_are_told_by_size() -> None:
    assert [unit_of(np.array([10.0**k])) for k in (9, 12, 15, 18)] == ["s", "ms", "us", "ns"]


def test_tsv_parquet_and_headerless_read_alike(tmp_path: Path) -> None:
    rows = [("u", "i", 5.0, 10), ("u", "j", 4.0, 20), ("v", "i", 3.0, 5)]
    frame = pd.DataFrame(rows, columns=list(MAP.values()))
    frame.to_parquet(tmp_path / "log.parquet")
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_csv(tmp_path / "log.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "log.csv.gz", index=False)
    (tmp_path / "sub").mkdir()
    frame.to_csv(tmp_path / "sub" / "log.csv", index=False, header=False)
    numbered = dict(zip(MAP, range(4), strict=True))
    prints = {read_table(tmp_path / f"log.{kind}", MAP).fingerprint for kind in ("csv", "tsv", "csv.gz", "parquet")}
    prints.add(read_table(tmp_path / "sub" / "log.csv", numbered).fingerprint)
    assert len(prints) == 1


def test_items_and_users_are_joined_with_every_column_and_gaps_filled(tmp_path: Path) -> None:
    log = table(tmp_path, "1,x,5,1", "2,y,4,2")
    items = table(tmp_path, 'x,"A, B",3.5,9', head="sku,label,price,stock", name="items.csv")
    users = table(tmp_path, "1,north", "2,", head="user_id,region", name="users.csv")
    data = read_table(log, MAP, items=items, item_columns={"item_id": "sku", "title": "label"}, users=users)
    assert data.items.iloc[0].tolist() == ["x", "A, B", 3.5, 9, ""]
    assert data.items["title"].tolist() == ["A, B", ""]
    assert data.items["stock"].tolist() == [9, -1]
    assert data.items["price"].isna().tolist() == [False, True]
    assert data.users["region"].tolist() == ["north", ""]


def test_whole_ids_of_parquet_meet_texts_of_csv(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": [1.0], "item_id": [12.0]}).to_parquet(tmp_path / "log.parquet")
    items = table(tmp_path, "12,Twelve", head="item_id,title", name="items.csv")
    data = read_table(tmp_path / "log.parquet", items=items)
    assert data.items["title"].tolist() == ["Twelve"]
    assert data.items["item_id"].tolist() == [12]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("u,i,five,2", "line 3, column 'stars': 'five' is not a number"),
        ("u,i,5", "line 3 has 3 fields, 4 were expected"),
        ("u,,5,2", "line 3, column 'what': '' is empty, but an id is needed"),
        ("u,i,inf,2", "line 3, column 'stars': 'inf' is not a finite number"),
        ("u,i,5,", "line 3, column 'when': '' is no moment"),
        ('u,"i,5,2', "a stray quote may have swallowed"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(DataError, match=f"log.csv: .*{said}"):
        read_table(table(tmp_path, "u,j,5,1", row, "u,k,5,3"), MAP)


def test_the_line_named_counts_lines_within_quotes_and_blank_ones(tmp_path: Path) -> None:
    log = table(tmp_path, '"u\nv",j,5,1', "", "u,i,x,2")
    with pytest.raises(DataError, match=r"line 5, column 'stars'"):
        read_table(log, MAP)


def test_a_day_that_does_not_exist_is_named_and_a_format_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3, column 'when': '2020-02-30' is no ISO 8601 moment \(give its form"):
        read_table(table(tmp_path, "u,i,5,2020-02-03", "u,j,5,2020-02-30"), MAP)
    with pytest.raises(DataError, match=r"line 2, column 'when': '2020-02-03' is not of the form %d/%m/%Y"):
        read_table(table(tmp_path, "u,i,5,2020-02-03"), MAP, time="%d/%m/%Y")


def test_a_missing_column_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'wat' among .* did you mean 'what'\? name .* under `columns`"):
        read_table(table(tmp_path, "u,i,5,1"), MAP | {"item_id": "wat"})
    with pytest.raises(DataError, match="no column 'user_id'"):
        read_table(table(tmp_path, "u,i,5,1"))


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names the column 'stars' twice"):
        read_table(table(tmp_path, "u,i,5,1,2", head="who,what,stars,stars,when"), MAP)


def test_encodings_are_asked_for_not_guessed(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes("who,what,stars,when\nRené,i,5,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"log.csv: line 2: byte 0xe9 is not utf-8.*encoding: latin-1"):
        read_table(log, MAP)
    assert read_table(log, MAP, encoding="latin-1").users["user_id"].tolist() == ["René"]
    with pytest.raises(DataError, match="encoding 'klingon' is unknown"):
        read_table(log, MAP, encoding="klingon")
    log.write_text("who,what,stars,when\nRené,i,5,1\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"begins as UTF-16 does.*encoding: utf-16"):
        read_table(log, MAP)
    assert read_table(log, MAP, encoding="utf-16").users["user_id"].tolist() == ["René"]


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(b"\xef\xbb\xbfwho,what,stars,when\r\nu,i,5,1\r\n\r\n")
    assert read_table(log, MAP).items["item_id"].tolist() == ["i"]


def test_an_id_twice_in_the_items_is_refused_naming_that_file(tmp_path: Path) -> None:
    items = table(tmp_path, "i,A", "i,B", head="item_id,title", name="items.csv")
    with pytest.raises(DataError, match=r"items.csv: item_id 'i' stands more than once .*rows 1, 2"):
        read_table(table(tmp_path, "u,i,5,1"), MAP, items=items)


def test_a_null_in_parquet_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": ["a", None], "item_id": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet: row 2, column 'user_id' is null"):
        read_table(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no whole Parquet file"):
        read_table(tmp_path / "b.parquet")


def test_moments_of_parquet_become_seconds(tmp_path: Path) -> None:
    when = pd.to_datetime(["2020-01-02T03:04:05", "2020-01-01T00:00:00"])
    pd.DataFrame({"user_id": ["a", "a"], "item_id": [1, 2], "timestamp": when}).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").timestamp.tolist() == [1577836800, 1577934245]


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; name the file"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "no.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="is empty"):
        read_table(tmp_path / "empty.csv")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_arrow_reads_files_without_calling_python_from_its_threads(tmp_path: Path, name: str) -> None:
    text = b"user_id,item_id\nu,i\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with arrow_input(File(tmp_path / name), Format(",")) as stream:
        assert not isinstance(stream, pa.PythonFile)
        assert stream.read() == text
