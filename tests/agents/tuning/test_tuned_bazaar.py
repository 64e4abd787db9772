"""A model made from nothing and tuned on a bazaar finds noise planted into unseen users; untuned it guesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recloop.agents.chat.likelihood import yes_share
from recloop.agents.chat.local.model import load_model
from recloop.agents.chat.local.scoring import score
from recloop.agents.tuning import TuneLM, doubt_question, tune_on
from recloop.agents.tuning.small import make_small_model, texts_of
from recloop.recsys.data.bazaar import World, world
from sklearn.metrics import roc_auc_score


def auc(folder: Path, made: World, users: list[int]) -> float:
    """Of 1 - p(Yes), each item of a user's first rows judged by the others."""
    model, data = load_model(folder, device="cpu"), made.dataset
    windows = [data.items["title"][data.history(user)[:11]].tolist() for user in users]
    planted = np.concatenate([made.noise[data.indptr[user] : data.indptr[user + 1]][:11] for user in users])
    asked = [doubt_question(titles, at) for titles in windows for at in range(len(titles))]
    return float(roc_auc_score(planted, [1 - yes_share(row) for row in score(model, asked)]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tuning_finds_planted_noise_of_unseen_users(tmp_path: Path) -> None:
    made = world(0, users=1500)
    data = made.dataset
    part = data.user % 10
    unseen = [user for user in range(data.n_users) if user % 10 == 9]
    base = make_small_model(
        tmp_path / "base", texts_of(data.rows(part < 8)), vocabulary=4000, hidden_size=64, feed_forward=128,
        layers=2, whole_lines=True, length=256,
    )  # fmt: skip
    config = TuneLM(
        model=base, method="full", tasks={"judge": 1}, noise="popularity", samples=6400, valid_samples=300, epochs=8,
        batch_size=64, micro_batch=64, learning_rate=3e-3, warmup=50,
    )  # fmt: skip
    tune_on(config, data.rows(part < 8), data.rows(part == 8), tmp_path / "tuned", device="cpu")
    assert 0.4 < auc(base, made, unseen) < 0.6
    assert auc(tmp_path / "tuned", made, unseen) > 0.8
