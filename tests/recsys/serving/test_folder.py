"""A model's folder knows the ids it was trained on: other data is refused, torn files are named."""

import json

import numpy as np
import pandas as pd
import pytest
from recloop.errors import ConfigError, DataError, RunError
from recloop.recsys.data import Dataset
from recloop.recsys.models import model
from recloop.recsys.serving import aligned, keep, open_folder, recommend, recommend_to_file, similar, vectors
from recloop.recsys.serving.folder import check_free, facts_of
from recloop.recsys.training import checkpoints
from safetensors import SafetensorError

from tests.recsys.serving.worlds import shop


@pytest.fixture
def data():
    return shop()


@pytest.fixture
def kept(data, tmp_path):
    fitted = model("itemknn")
    fitted.fit(data)
    keep(fitted, data, tmp_path / "knn", {"model": "itemknn", **facts_of(data, data.rows(data.user < 0))})
    return tmp_path / "knn"


def test_what_is_kept_comes_back_with_its_ids(data, kept):
    trained = open_folder(kept)
    users = np.arange(data.n_users, dtype=np.int32)
    fresh = model("itemknn")
    fresh.fit(data)
    np.testing.assert_array_equal(trained.model.score(users, data), fresh.score(users, data))
    assert trained.items["item_id"].tolist() == data.items["item_id"].tolist()
    assert trained.users["user_id"].tolist() == data.users["user_id"].tolist()


def test_recommendations_are_in_the_datas_own_ids_without_what_the_user_has(data, kept):
    found = recommend(kept, ["u3", "u1"], k=4, data=data)
    assert found["user_id"].drop_duplicates().tolist() == ["u3", "u1"]
    ids = data.items["item_id"].to_numpy()
    for user, part in found.groupby("user_id"):
        code = data.users["user_id"].tolist().index(user)
        assert not set(part["item_id"]) & set(ids[data.history(code)])
        assert part["rank"].tolist() == [1, 2, 3, 4][: len(part)]
        assert (part["title"] == "Thing " + part["item_id"]).all()
    kept_in = recommend(kept, ["u3"], k=12, data=data, filter_seen=False)
    assert set(kept_in["item_id"]) >= set(ids[data.history(data.users["user_id"].tolist().index("u3"))])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda kept, data: recommend(kept, ["u33"], data=data), "user_id 'u33' is not known .* near: u3"),
        (lambda kept, data: recommend(kept, ["u3", "u3"], data=data), "'u3' is asked for twice"),
        (lambda kept, data: similar(kept, ["i99"]), "item_id 'i99' is not known .* near: .*i09"),
        (lambda kept, data: similar(kept, ["thing i07"]), r"near: i07 \(Thing i07\)"),
    ],
)
def test_an_unknown_id_is_named_with_near_ones(kept, data, call, said):
    with pytest.raises(DataError, match=said):
        call(kept, data)


def test_data_of_other_items_is_refused_unless_it_is_aligned_by_id(data, kept):
    trained = open_folder(kept)
    rows = pd.DataFrame({"user_id": ["u2", "u2", "new"], "item_id": ["i05", "i77", "i01"], "timestamp": [1, 2, 3]})
    other = Dataset.of("later", rows)
    with pytest.raises(DataError, match=r"item_id 'i77' is not known .* \(--align\)"):
        aligned(trained, other)
    taken, left_out = aligned(trained, other, align=True)
    assert left_out == 2
    assert taken.n_items == data.n_items
    user = trained.users["user_id"].tolist().index("u2")
    assert trained.items["item_id"][taken.history(user)].tolist() == ["i05"]


def test_an_id_with_another_title_is_another_item_and_is_never_aligned(kept):
    rows = pd.DataFrame({"user_id": ["u2"], "item_id": ["i05"]})
    other = Dataset.of("elsewhere", rows, pd.DataFrame({"item_id": ["i05"], "title": ["Toy Story"]}))
    with pytest.raises(DataError, match="'Toy Story' here and 'Thing i05'"):
        aligned(open_folder(kept), other, align=True)


@pytest.mark.parametrize(
    ("tear", "said"),
    [
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-20]), "damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (lambda f: (f / "trained.json").unlink(), "without the ids"),
        (lambda f: (f / "trained.json").write_text("{"), "damaged"),
        (lambda f: (f / "items.parquet").write_bytes(b"PAR1"), "damaged"),
        (lambda f: (f / "users.parquet").unlink(), "missing"),
        (lambda f: pd.read_parquet(f / "users.parquet")[:3].to_parquet(f / "users.parquet"), "lists .* trained on"),
    ],
)
def test_a_torn_folder_is_refused_by_the_file_that_is_wrong(kept, tear, said):
    tear(kept)
    with pytest.raises(DataError, match=said) as raised:
        open_folder(kept)
    assert str(kept) in str(raised.value)


def test_nothing_is_replaced_unasked_and_nothing_but_a_model_ever(data, kept, tmp_path):
    fitted = open_folder(kept).model
    facts = json.loads((kept / "trained.json").read_text())
    with pytest.raises(ConfigError, match="exists already"):
        keep(fitted, data, kept, facts)
    keep(fitted, data, kept, {**facts, "seed": 7}, overwrite=True)
    assert open_folder(kept).facts["seed"] == 7
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds no model"):
        keep(fitted, data, tmp_path / "mine", facts, overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_exported_vectors_give_the_models_scores_back(data, tmp_path):
    fitted = model("bpr", epochs=2, embedding_size=4)
    fitted.fit(data)
    keep(fitted, data, tmp_path / "bpr", facts_of(data, data.rows(data.user < 0)))
    told = vectors(tmp_path / "bpr", tmp_path / "out", data=data)
    assert (told["users"], told["items"], told["size"]) == (data.n_users, data.n_items, 4)
    items, users = (pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("items", "users"))
    assert items["item_id"].tolist() == data.items["item_id"].tolist()
    assert users["user_id"].tolist() == data.users["user_id"].tolist()
    np.testing.assert_array_equal(np.stack(items["vector"]), np.load(tmp_path / "out" / "items.npy"))
    scores = np.stack(users["vector"]) @ np.stack(items["vector"]).T + items["bias"].to_numpy()
    everyone = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(scores, fitted.score(everyone, data), rtol=1e-4, atol=1e-5)


def test_a_model_without_vectors_exports_none_and_leaves_no_folder(kept, data, tmp_path):
    with pytest.raises(ConfigError, match="itemknn: has no vectors"):
        vectors(kept, tmp_path / "out", data=data)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "refusal", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
)
def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_model(tmp_path, monkeypatch, refusal):
    def full(*args, **kwargs):
        raise refusal

    fitted = model("popularity")
    fitted.fit(shop())
    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(RunError, match="No space left on device") as refused:
        keep(fitted, shop(), tmp_path / "model", {})
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_not_written_below_a_file(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match="is a file"):
        check_free(tmp_path / "file" / "model", overwrite=False)


def test_a_list_or_a_table_of_values_never_replaces_a_file_unasked(kept, data, tmp_path):
    file = tmp_path / "lists.csv"
    file.write_text("precious")
    with pytest.raises(ConfigError, match="exists already"):
        recommend_to_file(kept, file, data=data)
    assert file.read_text() == "precious"
    assert recommend_to_file(kept, file, k=2, data=data, overwrite=True) == 2 * (data.n_users - 1)  # one has everything
