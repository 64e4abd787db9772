"""What is known of planted noise, for evaluation alone: no agent and no recommender reads it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from .bazaar import world
from .data_config import DataConfig
from .dataset import Dataset

SOURCES_WITH_TRUTH = ("bazaar",)
"""Sources whose planted noise can be made again from the settings."""


def check_truth(config: DataConfig) -> None:
    """Raises ConfigError where the source does not know which rows are noise."""
    if config.source not in SOURCES_WITH_TRUTH:
        raise ConfigError(
            f"evaluate.controls: oracle needs data whose noise is known ({', '.join(SOURCES_WITH_TRUTH)}), and source "
            f"{config.source!r} does not know which of its rows are noise; leave oracle out"
        )


def planted_noise(config: DataConfig, data: Dataset) -> npt.NDArray[np.bool_]:
    """(len(data),) true where a row of `data`, a side of the split that `config` gives, is planted noise.

    Rows are matched by the ids of user and item, so filters may have numbered them anew. Raises ConfigError as
    `check_truth` does.
    """
    check_truth(config)
    whole = world(config.seed, config.n_users, config.n_items, config.noise)
    users = whole.dataset.users["user_id"].to_numpy()[whole.dataset.user[whole.noise]]
    items = whole.dataset.items["item_id"].to_numpy()[whole.dataset.item[whole.noise]]
    planted = set(zip(users.tolist(), items.tolist(), strict=True))
    user = data.users["user_id"].to_numpy()[data.user].tolist()
    item = data.items["item_id"].to_numpy()[data.item].tolist()
    return np.fromiter((pair in planted for pair in zip(user, item, strict=True)), bool, len(data))
