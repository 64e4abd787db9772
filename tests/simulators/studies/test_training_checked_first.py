"""A training that this machine cannot do ends the run before a folder is made or an agent asked."""

import pytest
from recloop.errors import ConfigError
from recloop.recsys.models.contract import two_tastes
from recloop.recsys.models.train_config import TrainConfig
from recloop.simulators.studies.grid import cells_of, models_of
from recloop.simulators.studies.run import run
from recloop.simulators.studies.study import Study
from recloop.simulators.studies.variants import variants


def test_a_device_that_is_not_there_ends_the_run_before_anything_is_written(tmp_path):
    study = Study(
        name="s",
        data={"source": "bazaar", "n_users": 20, "n_items": 120},
        steps=[{"setwise": {"users": 2}}],
        train={"models": ["bpr"], "device": "xpu:9"},
        out=tmp_path,
    )
    with pytest.raises(ConfigError, match="xpu:9"):
        run(study)
    assert list(tmp_path.iterdir()) == []


def test_every_cell_of_a_study_has_the_limit_of_epochs_wrappers_too():
    config = TrainConfig(models=["bpr", "guided", {"i2i": {"model": "bpr"}}], epochs=3, seeds=[0])
    train = two_tastes().train
    cells = list(cells_of(models_of(config), variants(train, None, (), 0, None), config.seeds))
    assert [cell.hyperparameters.get("settings", cell.hyperparameters)["epochs"] for cell in cells] == [3, 3, 3]
