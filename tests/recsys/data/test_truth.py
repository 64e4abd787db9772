"""The truth about planted noise, made again for evaluation."""

from __future__ import annotations

import pytest
from recloop.errors import ConfigError
from recloop.recsys.data.bazaar import world
from recloop.recsys.data.data_config import DataConfig
from recloop.recsys.data.sources import load_split
from recloop.recsys.data.truth import check_truth, planted_noise


@pytest.mark.parametrize("core", [None, 4])
def test_the_mask_names_the_planted_rows_however_a_filter_has_numbered_them(core):
    config = DataConfig(n_users=80, seed=3, noise=0.3, core=core)
    data = load_split(config).train
    truth = world(3, 80, 400, 0.3)
    whole = truth.dataset
    noisy = {
        (whole.users["user_id"].iat[user], whole.items["item_id"].iat[item])
        for user, item in zip(whole.user[truth.noise], whole.item[truth.noise], strict=True)
    }
    users, items = data.users["user_id"].to_numpy()[data.user], data.items["item_id"].to_numpy()[data.item]
    noise = planted_noise(config, data)
    assert data.n_items < whole.n_items
    assert noise.tolist() == [pair in noisy for pair in zip(users, items, strict=True)]
    assert 0.25 < noise.mean() < 0.36


def test_held_out_rows_are_never_planted():
    config = DataConfig(n_users=80, noise=0.5)
    split = load_split(config)
    assert not planted_noise(config, split.valid).any()
    assert not planted_noise(config, split.test).any()


def test_a_source_that_does_not_know_its_noise_is_refused():
    with pytest.raises(ConfigError, match="oracle needs data whose noise is known"):
        check_truth(DataConfig(source="movielens", path="ml.zip"))
