"""Files in the shapes people have: without a header, as JSON lines, as sequences, in zips, with other separators."""

import io
import json
import logging
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recloop.errors import DataError
from recloop.recsys.data import DataConfig, Dataset, Events, describe, load, read_amazon, read_frame, read_table

BY_PLACE = {"user_id": 0, "item_id": 1}


def rows_of(data: Dataset) -> list[tuple[str, str]]:
    users, items = data.users["user_id"].astype(str), data.items["item_id"].astype(str)
    return [(users[user], items[item]) for user, item in zip(data.user, data.item, strict=True)]


def file_of(folder: Path, text: str, name: str = "log.csv") -> Path:
    (folder / name).write_bytes(text.encode())
    return folder / name


@pytest.mark.parametrize(
    ("text", "separator", "columns", "pairs"),
    [
        ("1 1\n1 2\n2 1\n", " ", BY_PLACE, [("1", "1"), ("1", "2"), ("2", "1")]),
        ("1 1\n1 2\n2 1\n", None, BY_PLACE, [("1", "1"), ("1", "2"), ("2", "1")]),
        ("0,0,5,0\n0,1,4,3\n", None, BY_PLACE | {"value": 2, "timestamp": 3}, [("0", "0"), ("0", "1")]),
        ("0::0::5.0::1712449746826\n", "::", BY_PLACE | {"value": 2, "timestamp": 3}, [("0", "0")]),
        ("0::0::5.0::1712449746826\n", None, BY_PLACE | {"value": 2, "timestamp": 3}, [("0", "0")]),
    ],
)
def test_a_file_without_header_may_begin_with_a_row_of_equal_fields(tmp_path, text, separator, columns, pairs) -> None:
    assert rows_of(read_table(file_of(tmp_path, text), columns, separator=separator)) == pairs


@pytest.mark.parametrize(("name", "sign"), [("log.csv", "\t"), ("log.csv", ";"), ("log.txt", ","), ("log.dat", "|")])
def test_the_separator_is_found_in_the_header_and_the_log_says_so(tmp_path, caplog, name, sign) -> None:
    path = file_of(tmp_path, sign.join(("user_id", "item_id")) + "\n" + sign.join("ui") + "\n", name)
    with caplog.at_level(logging.WARNING):
        assert rows_of(read_table(path)) == [("u", "i")]
    assert repr(sign) in caplog.text


def test_a_wrong_separator_is_answered_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"';' between its fields: set `separator: ';'`"):
        read_table(file_of(tmp_path, "user_id;item_id\nu;i\n"), separator=",")


def test_items_may_have_another_separator_than_the_log(tmp_path: Path) -> None:
    log = file_of(tmp_path, "user_id,item_id\nu,i\n")
    items = file_of(tmp_path, "item_id\ttitle\ni\tA, B\n", "items.csv")
    assert read_table(log, items=items, separator=",").items["title"].tolist() == ["A, B"]
    assert read_table(log, items=items, items_separator="\t").items["title"].tolist() == ["A, B"]


def test_quotes_after_a_backslash_are_read_by_a_setting(tmp_path: Path) -> None:
    log = file_of(tmp_path, "user_id,item_id\nu,i\n")
    items = file_of(tmp_path, '"item_id";"title"\n"i";"The \\"Best\\"; of"\n', "books.csv")
    assert read_table(log, items=items, escape="\\").items["title"].tolist() == ['The "Best"; of']
    with pytest.raises(DataError, match=r"escape"):
        read_table(log, items=items)


@pytest.mark.parametrize("timed", [True, False])
def test_json_lines_need_neither_a_rating_nor_a_time(tmp_path: Path, timed: bool) -> None:
    rows = [{"user_id": "u0", "item_id": item} | ({"timestamp": 5 - k} if timed else {}) for k, item in enumerate("ab")]
    path = file_of(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    assert rows_of(read_table(path)) == [("u0", item) for item in ("ba" if timed else "ab")]


def test_json_lines_of_any_names_are_read_by_the_map(tmp_path: Path) -> None:
    path = file_of(tmp_path, '{"who": 7, "what": "x", "stars": 4, "at": "2020-01-02"}\n', "review.json")
    data = read_table(path, {"user_id": "who", "item_id": "what", "value": "stars", "timestamp": "at"})
    assert (rows_of(data), data.value.tolist(), data.timestamp.tolist()) == ([("7", "x")], [4.0], [1577923200])


def test_a_json_file_that_is_one_list_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"write one record a line"):
        read_table(file_of(tmp_path, '[{"user_id": 1, "item_id": 2}]', "test.json"))


def test_lines_of_a_user_and_the_items_are_read_by_one_setting(tmp_path: Path) -> None:
    path = file_of(tmp_path, "0 1 2 3\n1 4 5\n2\n", "train.txt")
    data = load(DataConfig(source="table", path=path, sequences=True))
    assert rows_of(data) == [("0", "1"), ("0", "2"), ("0", "3"), ("1", "4"), ("1", "5")]
    with pytest.raises(DataError, match=r"line 2: user '0' stands in line 1 too"):
        read_table(file_of(tmp_path, "0 1\n0 2\n"), sequences=True)


def test_lists_in_parquet_stand_for_a_row_an_item(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_ids": [[5, 6], [7]], "timestamp": [[20, 10], [1]]})
    frame.to_parquet(tmp_path / "log.parquet")
    data = read_table(tmp_path / "log.parquet")
    assert rows_of(data) == [("1", "6"), ("1", "5"), ("2", "7")]
    frame.assign(timestamp=[[1], [2]]).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=r"row 1: 'timestamp' has 1 entries, 'item_ids' has 2"):
        read_table(tmp_path / "log.parquet")


def test_a_zip_of_one_file_is_read_and_one_of_several_named(tmp_path: Path) -> None:
    review = {"reviewerID": "A", "asin": "B", "overall": 5, "unixReviewTime": 1_400_000_000}
    with zipfile.ZipFile(tmp_path / "reviews.zip", "w") as archive:
        archive.writestr("reviews.json", json.dumps(review) + "\n")
        archive.writestr("__MACOSX/._reviews.json", "x")
    assert rows_of(read_amazon(tmp_path / "reviews.zip")) == rows_of(read_table(tmp_path / "reviews.zip"))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "user_id,item_id\nu,i\n")
        archive.writestr("b.csv", "user_id,item_id\nu,i\n")
    with pytest.raises(DataError, match=r"holds 2 files \(a.csv, b.csv\)"):
        read_table(tmp_path / "two.zip")
    buffer = io.BytesIO()
    pd.DataFrame({"user_id": [1], "item_id": [2]}).to_parquet(buffer)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("log.parquet", buffer.getvalue())
    assert rows_of(read_table(tmp_path / "p.zip")) == [("1", "2")]


def test_usual_names_are_found_in_any_case(tmp_path: Path) -> None:
    data = read_table(file_of(tmp_path, "User-ID,Item ID,Rating,Time\nu,a,3,20\nu,b,4,10\n"))
    assert (rows_of(data), data.value.tolist()) == ([("u", "b"), ("u", "a")], [4.0, 3.0])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"userid": "user_id"}, r"no column of ours is called 'userid'; did you mean 'user_id'\?"),
        ({"user_id": "user_id", "item_id": "user_id"}, r"names the column 'user_id' for user_id and for item_id"),
        ({"user_id": "item_id"}, r"no column is left for item_id"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet", "frame"])
def test_a_map_that_cannot_be_meant_is_refused(tmp_path: Path, columns, message, form) -> None:
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i"]})
    log = file_of(tmp_path, frame.to_csv(index=False))
    frame.to_parquet(tmp_path / "log.parquet")
    read = {"csv": lambda: read_table(log, columns), "parquet": lambda: read_table(tmp_path / "log.parquet", columns)}
    read["frame"] = lambda: read_frame(frame, columns)
    with pytest.raises(DataError, match=message):
        read[form]()


MOMENTS = "user_id,item_id,timestamp\nu,a,1600000000\nu,b,1600000100\nu,c,{}\n"


@pytest.mark.parametrize(
    ("odd", "year"),
    [("1600000000000", "52671"), ("1e23", r"\S+"), ("9223372036854775807", r"\S+"), ("1600000", "1970")],
)
def test_a_moment_in_another_unit_is_refused_and_its_row_named(tmp_path: Path, odd: str, year: str) -> None:
    with pytest.raises(DataError, match=rf"'timestamp': row 3: \S+ lies in the year {year}; the others lie about 2020"):
        read_table(file_of(tmp_path, MOMENTS.format(odd)))


def test_moments_of_one_unit_and_unknown_ones_pass(tmp_path: Path) -> None:
    assert len(read_table(file_of(tmp_path, MOMENTS.format("0")))) == 3
    assert len(read_table(file_of(tmp_path, "user_id,item_id,timestamp\nu,a,1\nu,b,2000\n"))) == 2


def test_a_dataset_with_any_number_for_a_moment_is_described() -> None:
    rows = pd.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [1 << 62]})
    assert describe(Dataset.of("odd", rows))["time_span"]["first"] == f"{1 << 62} s"


def test_rows_without_a_moment_and_of_other_events_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "user_id,item_id,behavior,timestamp\nu,a,buy,10\nu,b,pv,11\nu,c,buy,\nu,a,buy,12\n"
    path = file_of(tmp_path, text)
    settings = {"without_time": "drop", "events": {"column": "behavior", "keep": "buy"}}
    for source in ({"source": "table", "path": path}, {"source": pd.read_csv(path)}):
        data = load(DataConfig.model_validate({**source, **settings}))
        assert rows_of(data) == [("u", "a")]
        assert describe(data)["left_out"] == {"other_events": 1, "without_time": 1, "duplicates": 1}
    with pytest.raises(DataError, match="without_time"):
        read_table(path)
    with pytest.raises(DataError, match=r"there are buy, pv"):
        read_table(path, events=Events(column="behavior", keep=("cart",)), without_time="drop")


def test_data_info_says_what_orders_the_rows(tmp_path: Path) -> None:
    assert "no time" in describe(read_table(file_of(tmp_path, "user_id,item_id\nu,i\n")))["order"]
    assert describe(read_table(file_of(tmp_path, MOMENTS.format("1600000200"))))["order"].startswith("timestamp")


def test_dates_that_yaml_has_made_of_a_text_are_moments() -> None:
    import yaml

    values = yaml.safe_load(
        "window: {start: 2015-06-30, end: 2016-01-01 12:00:00}\n"
        "split: {global_time: {valid: 2015-09-13, test: 2015-10-14}}"
    )
    config = DataConfig.model_validate(values)
    assert config.window is not None
    assert (config.window.start, config.window.end) == ("2015-06-30", "2016-01-01T12:00:00")
    assert config.split == {"global_time": {"valid": "2015-09-13", "test": "2015-10-14"}}


def test_a_dataframe_is_a_source_with_the_checks_of_a_file() -> None:
    frame = pd.DataFrame({"user": ["u", "u"], "movieId": [3, 4], "Time": [20, 10], "rating": [1, 2]})
    items = pd.DataFrame({"movieId": [4, 3], "title": ["D&eacute;j&agrave; Vu", "Heat"]})
    data = load(DataConfig.model_validate({"source": frame, "items": items}))
    assert rows_of(data) == [("u", "4"), ("u", "3")]
    assert data.items["title"].tolist() == ["Heat", "D\u00e9j\u00e0 Vu"]
    with pytest.raises(DataError, match="row 2, column 'rating': 'x' is not a finite number"):
        read_frame(frame.assign(rating=[1, "x"]))
    with pytest.raises(DataError, match="row 1, column 'user' is empty"):
        read_frame(frame.assign(user=[None, "u"]))


def test_a_study_names_a_dataframe_by_its_content() -> None:
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["i"]})
    first, same, other = (DataConfig.model_validate({"source": f}) for f in (frame, frame.copy(), frame + "x"))
    assert first.source == same.source != other.source
    assert load(DataConfig.model_validate_json(first.model_dump_json())).n_items == 1
    with pytest.raises(DataError, match="DataFrame of another process"):
        load(DataConfig(source="frame:0000"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("D&eacute;j&agrave; Vu", "D\u00e9j\u00e0 Vu"),
        ('<span id="productTitle" class="a-size-large">Blue &amp; Red</span>', "Blue & Red"),
        ("var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();", ""),
        ("<style>a {}</style>Chess<br>Set", "Chess Set"),
        ("I <3 U & a < b", "I <3 U & a < b"),
        ("AC/DC  -  Live", "AC/DC  -  Live"),
    ],
)
def test_item_texts_are_read_without_markup_unless_raw_ones_are_wanted(tmp_path: Path, written: str, read: str) -> None:
    log = file_of(tmp_path, "user_id,item_id\nu,i\n")
    pd.DataFrame({"item_id": ["i"], "title": [written]}).to_csv(tmp_path / "items.csv", index=False)
    assert read_table(log, items=tmp_path / "items.csv").items["title"].tolist() == [read]
    assert read_table(log, items=tmp_path / "items.csv", raw_texts=True).items["title"].tolist() == [written]


def test_a_folder_with_dots_in_its_name_names_the_data_whole(tmp_path: Path) -> None:
    from recloop.recsys.data import read_movielens, read_windows

    for name in ("noise-0.0", "noise-0.1"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "test.csv").write_text("user_id,item_ids,item_titles,timestamp\n1,\"[1, 2]\",\"['a', 'b']\",5\n")
        (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.0,4\n")
        assert read_windows(folder).name.endswith(name)
        assert read_movielens(folder).name == name


def test_positions_in_a_sequence_are_the_time() -> None:
    assert np.array_equal([0, 1], load(DataConfig.model_validate({"source": pd.DataFrame(
        {"user_id": ["u", "u"], "item_id": ["a", "b"]})})).timestamp)  # fmt: skip
