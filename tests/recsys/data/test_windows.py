"""Windows are read as users, titles from two places, and what is known of the noise stays beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
from recloop.errors import DataError
from recloop.recsys.data import DataConfig, load, read_windows
from recloop.recsys.data.windows import read_planted, side_of

HEAD = "user_id,item_ids,mask,item_titles,replaced_item_titles,timestamp\n"


def folder_at(place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "train_5000.csv").write_text(
        HEAD + '7,"[3, 5]","[0, 1]","[\'Kite &amp; Line\', \'Pot\']","[\'Canary Bird\']",100\n'
        '7,"[5, 9]","[1, 0]","[\'Pot\', \'Robot\']","[\'Canary Bird\']",101\n'
    )
    (place / "test.csv").write_text(HEAD + '8,"[9]","[0]","[\'Robot\']",[],200\n')
    (place / "id2name.json").write_text(json.dumps({"3": "Kite &amp; Line", "9": "Tin Robot"}))
    return place


def test_a_window_is_a_user_and_its_owner_is_told(tmp_path: Path) -> None:
    data = read_windows(folder_at(tmp_path))
    assert data.users["user_id"].tolist() == ["train_5000:0", "train_5000:1", "test:0"]
    assert data.users["owner"].tolist() == ["7", "7", "8"]
    assert data.users["moment"].tolist() == [100, 101, 200]
    assert [data.items["item_id"][data.history(u)].tolist() for u in range(3)] == [[3, 5], [5, 9], [9]]
    assert side_of(data, "test").tolist() == [False] * 4 + [True]


def test_titles_come_from_the_names_and_else_from_the_windows(tmp_path: Path) -> None:
    data = read_windows(folder_at(tmp_path))
    assert dict(zip(data.items["item_id"], data.items["title"], strict=True)) == {
        3: "Kite & Line",
        5: "Pot",
        9: "Tin Robot",
    }


def test_the_mask_stands_beside_the_data_and_nowhere_in_it(tmp_path: Path) -> None:
    data, truth = read_planted(folder_at(tmp_path))
    assert truth.planted.tolist() == [False, True, True, False, False]
    told = data.interactions.to_csv() + data.items.to_csv() + data.users.to_csv()
    assert "Canary" not in told
    assert not {"mask", "planted"} & {*data.interactions, *data.items, *data.users}
    assert data.fingerprint == read_windows(folder_at(tmp_path)).fingerprint


def test_a_study_names_them_as_a_source(tmp_path: Path) -> None:
    config = DataConfig(source="windows", path=folder_at(tmp_path) / "train_5000.csv")
    assert load(config).fingerprint == read_windows(tmp_path / "train_5000.csv").fingerprint


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('7,"[3, 5]","[0]","[\'a\', \'b\']",[],1\n', "row 0: item_ids, item_titles and mask have 2, 2 and 1"),
        ('7,"[3, ","[0]","[\'a\']",[],1\n', "row 0: item_ids is not a list"),
    ],
)
def test_a_broken_window_is_named(row: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "valid.csv").write_text(HEAD + row)
    with pytest.raises(DataError, match=said):
        read_windows(tmp_path / "valid.csv")


def test_a_folder_without_windows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no windows"):
        read_windows(tmp_path)


def test_the_real_file_has_the_planted_rate_that_is_told_of_it(shared_data: Path) -> None:
    data, truth = read_planted(shared_data / "amazon-toys-noise" / "noise-0.1" / "test.csv")
    assert (data.n_users, len(data), int(truth.planted.sum())) == (4794, 42484, 3901)
    assert not (data.items["title"] == "").any()
    assert not np.any(data.interactions["timestamp"].to_numpy()[data.indptr[:-1]])
