"""RecBole's atomic files: the usual form, the sequential one, and what is wrong with some of them."""

from pathlib import Path

import pytest
from recloop.errors import DataError
from recloop.recsys.data import read_atomic, read_movielens

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
SEQUENCE = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


def test_amazon_games_rolls_out_to_its_published_size(shared_data: Path) -> None:
    data = read_atomic(shared_data / "amazon-games")
    assert (data.n_users, data.n_items, len(data)) == (50546, 16859, 440264)
    assert data.items["title"].iloc[0] == "Fire Emblem: The Sacred Stones"
    assert (data.items["title"] != "").all()
    alone = read_atomic(shared_data / "amazon-games" / "Games-6k.test.inter")
    assert alone.fingerprint == data.fingerprint


@pytest.mark.parametrize(("side", "n_items"), [("dense", 269), ("sparse", 704)])
def test_cds_joins_its_parts_to_whole_histories(shared_data: Path, side: str, n_items: int) -> None:
    data = read_atomic(shared_data / "cds-100" / side, items=shared_data / "cds-100" / "CDs.item")
    assert (data.n_users, data.n_items, len(data)) == (100, n_items, 800)
    assert data.timestamp[data.indptr[3] : data.indptr[4]].tolist() == list(range(8))
    assert (data.items["title"] != "").all()
    if side == "dense":
        assert (
            data.items["item_id"].iloc[data.history(0)].tolist() == "10410 4233 213 9798 18245 24746 3510 1370".split()
        )
        assert data.items["categories"].iloc[1] == "Classic Rock, Album-Oriented Rock (AOR)"


def test_100k_is_the_same_log_as_the_publishers(shared_data: Path) -> None:
    atomic = read_atomic(shared_data / "ml-100k")
    published = read_movielens(shared_data / "ml-100k")
    assert atomic.user.tolist() == published.user.tolist()
    assert atomic.item.tolist() == published.item.tolist()
    assert atomic.value.tolist() == published.value.tolist()
    items = atomic.items.set_index("item_id")
    assert items.loc["1", "title"] == "Toy Story"
    assert items.loc["1", "categories"] == "Animation, Children's, Comedy"


def test_a_sequence_without_header_is_read_with_one_given(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("u\t5 6\t7\n")
    with pytest.raises(DataError, match=r"line 1: 'u' is not of the form name:type.*give one"):
        read_atomic(tmp_path / "a.inter")
    data = read_atomic(tmp_path / "a.inter", names=("user_id:token", "item_id_list:token_seq", "item_id:token"))
    assert data.items["item_id"].tolist() == ["5", "6", "7"]


def test_rows_of_a_user_that_do_not_continue_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(SEQUENCE + "u\t1 2 3\t4\nu\t2 3\t4\n")
    with pytest.raises(DataError, match=r"user 'u' has two rows of which neither continues the other"):
        read_atomic(tmp_path)


def test_parts_of_one_log_are_read_in_their_order(tmp_path: Path) -> None:
    for side, item in (("test", "c"), ("train", "a"), ("valid", "b")):
        (tmp_path / f"x.{side}.inter").write_text(f"user_id:token\titem_id:token\nu\t{item}\n")
    assert read_atomic(tmp_path).items["item_id"].tolist() == ["a", "b", "c"]


def test_two_datasets_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / f"{name}.inter").write_text(INTER + "1\t1\t1\t1\n")
    with pytest.raises(DataError, match=r"several datasets \(x, y\)"):
        read_atomic(tmp_path)
    assert len(read_atomic(tmp_path / "x.inter")) == 1


def test_quotes_are_text_unless_said_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(INTER + "1\t1\t1\t1\n1\t2\t1\t2\n")
    (tmp_path / "a.item").write_text('item_id:token\ttitle:token_seq\n1\t"Heroes"\n2\t12" vinyl\n')
    assert read_atomic(tmp_path).items["title"].tolist() == ['"Heroes"', '12" vinyl']
    (tmp_path / "a.item").write_text('item_id:token\ttitle:token_seq\n1\t"a\tb ""c"""\n2\td\n')
    assert read_atomic(tmp_path, quoted=True).items["title"].tolist() == ['a\tb "c"', "d"]
    with pytest.raises(DataError, match=r"a.item: line 2 has 3 fields, 2 were expected"):
        read_atomic(tmp_path)


def test_a_price_nobody_knows_is_nan_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text(INTER + "1\t1\t1\t1\n1\t2\t1\t2\n")
    head = "item_id:token\tprice:float\ttitle:token_seq\n1\t2.5\tA\n2\t"
    (tmp_path / "a.item").write_text(head + "\tB\n")
    prices = read_atomic(tmp_path).items["price"]
    assert prices[0] == 2.5
    assert prices.isna()[1]
    (tmp_path / "a.item").write_text(head + "cheap\tB\n")
    with pytest.raises(DataError, match=r"a.item: line 3, column 'price:float': 'cheap' is not a number"):
        read_atomic(tmp_path)


def test_fields_of_another_name_are_mapped_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("session:token\ttrack:token\n1\t2\n")
    with pytest.raises(DataError, match=r"a.inter: no column 'user_id'"):
        read_atomic(tmp_path)
    assert len(read_atomic(tmp_path, columns={"user_id": "session", "item_id": "track"})) == 1


def test_a_line_that_cannot_be_read_and_a_folder_without_logs_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no .inter file \(found: nothing\)"):
        read_atomic(tmp_path)
    (tmp_path / "a.inter").write_text(INTER + "1\t1\t1\t1\n1\t\t1\t2\n")
    with pytest.raises(DataError, match=r"a.inter: line 3, column 'item_id:token': '' is empty"):
        read_atomic(tmp_path)
