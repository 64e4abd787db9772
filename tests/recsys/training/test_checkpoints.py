"""Checkpoints come back whole, or are refused by name."""

import json
import os

import numpy as np
import pytest
from recloop.errors import DataError
from recloop.recsys.training import checkpoints
from safetensors.numpy import save_file


def test_arrays_and_facts_come_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "step": np.float32(3.0).reshape(())}
    checkpoints.write(tmp_path / "new", "model", arrays, {"config": {"x": 1}})
    back, facts = checkpoints.read(tmp_path / "new", "model")
    assert facts == {"config": {"x": 1}}
    assert json.loads((tmp_path / "new" / "model.json").read_text()) == facts
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].shape == array.shape


def test_writing_again_replaces_and_leaves_nothing_half_written(tmp_path):
    for value in (1.0, 2.0):
        checkpoints.write(tmp_path, "model", {"a": np.full(3, value)}, {})
    assert checkpoints.read(tmp_path, "model")[0]["a"][0] == 2.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_while_writing_leaves_arrays_and_facts_of_one_time(tmp_path, monkeypatch, renames):
    checkpoints.write(tmp_path, "training", {"a": np.full(3, 1.0)}, {"epoch": 1})
    done, replace = [], os.replace

    def killed(source, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tmp_path, "training", {"a": np.full(3, 2.0)}, {"epoch": 2})
    arrays, facts = checkpoints.read(tmp_path, "training")
    assert arrays["a"][0] == facts["epoch"] == 1 + renames


def test_a_missing_file_is_named(tmp_path):
    assert not checkpoints.exists(tmp_path, "model")
    with pytest.raises(DataError, match=r"model\.safetensors: no such file"):
        checkpoints.read(tmp_path, "model")


@pytest.mark.parametrize("damage", [lambda b: b[:-8], lambda b: b"\xff" * len(b), lambda b: b""])
def test_a_damaged_file_is_refused(tmp_path, damage):
    checkpoints.write(tmp_path, "model", {"a": np.arange(50)}, {})
    file = tmp_path / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"model\.safetensors: damaged or cut short"):
        checkpoints.read(tmp_path, "model")


def test_a_file_of_somebody_else_is_refused(tmp_path):
    save_file({"a": np.arange(5)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="not written by recloop"):
        checkpoints.read(tmp_path, "model")
