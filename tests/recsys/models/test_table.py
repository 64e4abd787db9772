"""Models by name, by "package.module:Class", with settings checked."""

import json

import pytest
from recloop.errors import ConfigError, DataError
from recloop.recsys.models import load, model, save
from recloop.recsys.models.bpr import BPR
from recloop.recsys.models.contract import two_tastes


class Mine(BPR):
    """A plug-in of somebody else's."""


def test_a_plug_in_is_named_by_module_and_class():
    assert type(model("recloop.recsys.models.bpr:BPR", epochs=3)) is BPR


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sasrek", "did you mean 'sasrec'"),
        ("zzz", "known are popularity"),
        ("recloop.recsys.models.bpr:BRP", "cannot be imported"),
        ("no.such.package:Model", "cannot be imported"),
    ],
)
def test_an_unknown_model_is_refused_with_a_hint(name, message):
    with pytest.raises(ConfigError, match=message):
        model(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"epochs": 0}, "epochs: .*greater than 0"),
        ({"dropout": 1.5}, "dropout: .*less than 1"),
        ({"heads": 3}, "does not divide"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_with_a_hint(settings, message):
    with pytest.raises(ConfigError, match=message):
        model("sasrec", **settings)


def test_a_plug_in_is_saved_under_its_own_address(tmp_path):
    mine = Mine(BPR.Config(epochs=1))
    mine.fit(two_tastes().train)
    save(mine, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["model"].endswith(":Mine")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path)
