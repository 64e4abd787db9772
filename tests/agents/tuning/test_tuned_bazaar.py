"""A model made from nothing and tuned on a bazaar finds noise planted into unseen users; untuned it guesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recloop.agents.chat.likelihood import yes_share
from recloop.agents.chat.local.model import load_model
from recloop.agents.chat.local.scoring import score
from recloop.agents.tuning import TuneLM, doubt_question, tune_on
from recloop.recsys.data.bazaar import World, world
from sklearn.metrics import roc_auc_score

from lab.small_lm import make_small_model, texts_of


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
    made = world(0, users=2500)
    data = made.dataset
    part = data.user % 10
    unseen = [user for user in range(data.n_users) if user % 10 == 9]
    base, first, tuned = (tmp_path / name for name in ("base", "first", "tuned"))
    make_small_model(
        base, texts_of(data.rows(part < 8)), vocabulary=4000, hidden_size=64, feed_forward=128, layers=3,
        whole_lines=True, length=256,
    )  # fmt: skip
    for start, to, changes in (
        (base, first, {"epochs": 8, "learning_rate": 1.5e-3, "prompt_weight": 0.5}),
        (first, tuned, {"epochs": 6, "learning_rate": 1e-3, "seed": 1}),
    ):
        config = TuneLM(
            model=start, method="full", tasks={"find": 1, "judge": 1}, noise="popularity", samples=12800, batch_size=32,
            valid_samples=300, warmup=50, **changes,
        )  # fmt: skip
        tune_on(config, data.rows(part < 8), data.rows(part == 8), to, device="cpu")
    assert 0.4 < auc(base, made, unseen) < 0.6
    assert auc(tuned, made, unseen) > 0.75
