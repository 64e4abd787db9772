"""Amazon Reviews: the three releases, gz or plain, JSON or Python's dicts."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from recloop.errors import DataError
from recloop.recsys.data import read_amazon

OLD = [
    {"reviewerID": "A1", "asin": "B2", "overall": 5.0, "reviewText": "good", "unixReviewTime": 1400000000},
    {"reviewerID": "A1", "asin": "B1", "overall": 3.0, "helpful": [0, 1], "unixReviewTime": 1390000000},
    {"reviewerID": "A2", "asin": "B1", "overall": 1.0, "unixReviewTime": 1410000000},
]


def lines(path: Path, records: Sequence[object], as_python: bool = False) -> Path:
    text = "".join((repr(r) if as_python else json.dumps(r)) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["toys.json", "toys.json.gz"])
@pytest.mark.parametrize("as_python", [False, True])
def test_the_old_releases_read_alike_plain_or_packed_json_or_python(tmp_path: Path, name: str, as_python: bool) -> None:
    data = read_amazon(lines(tmp_path / name, OLD, as_python))
    assert data.name == "toys"
    assert data.users["user_id"].tolist() == ["A1", "A2"]
    assert data.items["item_id"].iloc[data.item].tolist() == ["B1", "B2", "B1"]
    assert data.timestamp.tolist() == [1390000000, 1400000000, 1410000000]
    assert data.value.tolist() == [3, 5, 1]


def test_2023_takes_the_parent_and_keeps_the_order_of_milliseconds(tmp_path: Path) -> None:
    rows = [(1700000000900, "later"), (1700000000100, "sooner")]
    records = [
        {"rating": 4.0, "title": "t", "asin": "x", "parent_asin": item, "user_id": "U", "timestamp": when}
        for when, item in rows
    ]
    data = read_amazon(lines(tmp_path / "a.jsonl", records))
    assert data.timestamp.tolist() == [1700000000, 1700000000]
    assert data.items["item_id"].iloc[data.item].tolist() == ["sooner", "later"]


def test_metadata_of_2014_are_python_dicts_and_their_paths_are_joined_once(tmp_path: Path) -> None:
    about = [
        {"asin": "B1", "title": "Tom &amp; Jerry's", "categories": [["Toys", "Games"], ["Toys", "Cats"]]},
        {"asin": "ZZ", "title": "not reviewed"},
    ]
    data = read_amazon(lines(tmp_path / "r.json", OLD), lines(tmp_path / "m.json.gz", about, as_python=True))
    items = data.items.set_index("item_id")
    assert items.loc[["B1"]].to_numpy().tolist()[0] == ["Tom & Jerry's", "Toys, Games, Cats", ""]
    assert items.loc[["B2"]].to_numpy().tolist()[0] == ["", "", ""]


def test_metadata_of_2018_and_2023_have_lists_of_texts(tmp_path: Path) -> None:
    about = [
        {"asin": "B1", "title": "One", "category": ["Toys", "</span>junk"], "description": ["a", "b"]},
        {"parent_asin": "B2", "title": None, "categories": [], "main_category": "Games", "description": []},
    ]
    items = read_amazon(lines(tmp_path / "r.json", OLD), lines(tmp_path / "m.json", about)).items.set_index("item_id")
    assert items.loc[["B1"]].to_numpy().tolist()[0] == ["One", "Toys", "a b"]
    assert items.loc[["B2"]].to_numpy().tolist()[0] == ["", "Games", ""]


def test_an_item_described_twice_differently_is_refused_unless_a_choice_is_made(tmp_path: Path) -> None:
    reviews = lines(tmp_path / "r.json", OLD)
    about = lines(tmp_path / "m.json", [{"asin": "B1", "title": "One"}, {"asin": "B1", "title": "Uno"}])
    with pytest.raises(DataError, match=r"m.json: item_id 'B1' stands more than once"):
        read_amazon(reviews, about)
    assert "Uno" in read_amazon(reviews, about, twice="last").items["title"].tolist()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"reviewerID": "A1", "asin": ', "line 2 is no JSON record"),
        ('{"reviewerID": "A1", "asin": "B", "unixReviewTime": 1}', "line 2 has no field 'overall'"),
        ('{"reviewerID": "A1", "asin": "B", "overall": "x", "unixReviewTime": 1}', "line 2: could not convert"),
        ('{"reviewerID": null, "asin": "B", "overall": 1, "unixReviewTime": 1}', "field 'reviewerID' is empty"),
        ("[1, 2]", "line 2 is no record"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, bad: str, said: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(OLD[0]) + "\n" + bad + "\n" + json.dumps(OLD[1]) + "\n")
    with pytest.raises(DataError, match=rf"r.json: .*{said}"):
        read_amazon(path)


def test_python_in_a_line_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(OLD[0]) + "\n{'reviewerID': __import__('os').getcwd()}\n")
    with pytest.raises(DataError, match="line 2 is no JSON record"):
        read_amazon(path)


def test_records_of_something_else_an_empty_file_and_a_torn_gz_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no field 'reviewerID'; expected are"):
        read_amazon(lines(tmp_path / "other.json", [{"name": "x"}]))
    (tmp_path / "empty.json").write_text("\n")
    with pytest.raises(DataError, match="holds no review"):
        read_amazon(tmp_path / "empty.json")
    whole = lines(tmp_path / "whole.json.gz", OLD * 50).read_bytes()
    (tmp_path / "torn.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="download it again"):
        read_amazon(tmp_path / "torn.json.gz")


def test_metadata_of_another_category_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="describes none of the 2 reviewed items"):
        read_amazon(lines(tmp_path / "r.json", OLD), lines(tmp_path / "m.json", [{"asin": "Q", "title": "q"}]))
